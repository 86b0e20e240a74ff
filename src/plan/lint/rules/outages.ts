import { formatExactDuration } from '../../../lib/index.ts';
import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { named } from './named.ts';

/** A month as the budget of outages is told: objectives count calendar months, of which most have 30 days or one more. */
const monthMs = 30 * 24 * 60 * 60 * 1000;

/** What is promised of how long something may be out. */
export const outageRules: readonly Rule[] = [
  {
    id: 'C1',
    severity: 'error',
    means: 'A function or a scenario may be out for longer than the service as a whole.',
    why: 'Whoever reads the promise of the whole believes that it holds in every disaster that the plan is ready for.',
    settle: 'Bring the longer time down to that of the whole, or raise objectives.rto to the longest.',
    find: ({ objectives, functions, scenarios }) => {
      const { rto } = objectives;
      if (rto === null) return [];
      return [...named('functions', functions), ...named('scenarios', scenarios)].flatMap(({ option, entry }) =>
        entry.rto <= rto
          ? []
          : [
              {
                at: ['objectives.rto', `${option}.rto`],
                says: `The whole service is promised back within ${formatExactDuration(rto)}, and "${entry.name}" takes up to ${formatExactDuration(entry.rto)}.`,
              },
            ],
      );
    },
  },
  {
    id: 'C3',
    severity: 'error',
    means:
      'One recovery that the plan allows takes longer than the outage that the promised availability leaves in a month.',
    why: 'A single disaster that goes as planned then breaks the promise of the month.',
    settle: 'Promise the availability that one recovery leaves, or recover faster: by a replica instead of a restore.',
    find: ({ objectives, scenarios }) => {
      const { availability, rto } = objectives;
      if (availability === null) return [];
      const budget = Math.round(monthMs * (1 - availability / 100));
      return [
        ...(rto === null ? [] : [{ at: 'objectives.rto', who: 'one recovery', rto }]),
        ...named('scenarios', scenarios).map(({ option, entry }) => ({
          ...{ at: `${option}.rto`, who: `one recovery from "${entry.name}"`, rto: entry.rto },
        })),
      ].flatMap((promise) =>
        promise.rto <= budget
          ? []
          : [
              {
                at: ['objectives.availability', promise.at],
                says: `${availability} % leaves ${formatExactDuration(budget)} of outage in a month of 30 days, and ${promise.who} may take ${formatExactDuration(promise.rto)}.`,
              },
            ],
      );
    },
  },
  {
    id: 'C4',
    severity: 'error',
    means: 'A function is promised back before the database that it needs, and nothing serves in its place meanwhile.',
    why: 'It cannot be back before the server is, so its promise is broken each time that the database is lost.',
    settle:
      'Name what serves in its place (fallback: a read-only replica, or a durable inbox), or promise no less than the scenario.',
    find: (plan) =>
      outlasted(plan).flatMap(({ isOfDatabase, needsDatabase, at, says, servedMeanwhile }) =>
        isOfDatabase && needsDatabase && !servedMeanwhile ? [{ at, says }] : [],
      ),
  },
  {
    id: 'function-outlasted',
    severity: 'note',
    means:
      'A scenario other than the loss of a database server may keep a function out for longer than its own promise.',
    why: 'The promise of the function holds where its database alone is lost; in this scenario, that of the scenario counts.',
    settle: 'Nothing, where that is meant; otherwise bring the time of the scenario down.',
    find: (plan) => outlasted(plan).flatMap(({ isOfDatabase, at, says }) => (isOfDatabase ? [] : [{ at, says }])),
  },
  {
    id: 'steps-too-long',
    severity: 'error',
    means: 'Noticing, deciding and the steps of a scenario take longer together than the service may be out.',
    why: 'By its own numbers the plan cannot keep the promise.',
    settle: 'Shorten the steps, notice and decide sooner (objectives), or promise what it adds up to.',
    find: ({ scenarios, objectives }) =>
      named('scenarios', scenarios).flatMap(({ option, entry }): Occurrence[] => {
        const stepsMs = entry.steps.reduce((sum, step) => sum + (step.takes ?? 0), 0);
        const needed = objectives.detection + objectives.decision + stepsMs;
        if (needed <= entry.rto) return [];
        const sum = `${formatExactDuration(objectives.detection)} to notice + ${formatExactDuration(objectives.decision)} to decide + ${formatExactDuration(stepsMs)} of steps`;
        return [
          {
            at: [`${option}.rto`, `${option}.steps`],
            says: `"${entry.name}" is promised over within ${formatExactDuration(entry.rto)}, and ${sum} are ${formatExactDuration(needed)}.`,
          },
        ];
      }),
  },
  {
    id: 'vendor-slower',
    severity: 'error',
    means:
      'A scenario waits for a vendor, and each of them may be out for longer, by contract, than the scenario allows.',
    why: 'Nobody can make the vendor keep what was not bought.',
    settle: 'Buy the shorter time, promise the longer one, or name a method that does not wait for the vendor.',
    find: ({ scenarios, vendors }) =>
      named('scenarios', scenarios).flatMap(({ option, entry }): Occurrence[] => {
        if (entry.method !== 'provider') return [];
        // For which of them it waits is not said: one that is quick enough may be the one.
        const bound = named('vendors', vendors).flatMap((vendor) =>
          vendor.entry.rto === null
            ? []
            : [{ at: `${vendor.option}.rto`, name: vendor.entry.name, rto: vendor.entry.rto }],
        );
        if (bound.length === 0 || bound.some(({ rto }) => rto <= entry.rto)) return [];
        const outages = formatList(bound.map(({ name, rto }) => `"${name}" for ${formatExactDuration(rto)}`));
        const says = `"${entry.name}" is promised over within ${formatExactDuration(entry.rto)} by whoever runs the service, and by contract ${outages} may be out.`;
        return [{ at: [`${option}.rto`, ...bound.map(({ at }) => at)], says }];
      }),
  },
];

/** Whether a scenario takes away a server of the database. Without a word on what it takes away, one that is mended by a restore does. */
export function strikesDatabase({ strikes, method }: LintedPlan['scenarios'][number]): boolean {
  return (strikes ?? (method === 'restore' ? 'database' : null)) === 'database';
}

/** Functions that a scenario may keep out for longer than their own promise. */
function outlasted({ functions, scenarios, dataSets }: LintedPlan) {
  const inDatabase = new Set(dataSets.filter(({ kind }) => kind === 'database').map(({ name }) => name));
  return named('scenarios', scenarios).flatMap(({ option, entry: scenario }) =>
    named('functions', functions).flatMap((each) => {
      if (scenario.affects !== null && !scenario.affects.includes(each.entry.name)) return [];
      if (each.entry.rto >= scenario.rto) return [];
      const { fallback, dataSets: needed } = each.entry;
      return [
        {
          isOfDatabase: strikesDatabase(scenario),
          // Without a word on what it needs, it is the database.
          needsDatabase: needed.length === 0 || needed.some((name) => inDatabase.has(name)),
          // A page that says that nothing works is not the function.
          servedMeanwhile: fallback === 'read-only-replica' || fallback === 'durable-inbox',
          at: [`${each.option}.rto`, `${option}.rto`],
          says: `"${each.entry.name}" is promised back within ${formatExactDuration(each.entry.rto)}, and "${scenario.name}" takes up to ${formatExactDuration(scenario.rto)}.`,
        },
      ];
    }),
  );
}
