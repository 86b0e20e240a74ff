import { formatExactDuration } from '../../../lib/index.ts';
import { longestCommonGapMs } from '../../schedule.ts';
import { alarms, severities } from '../../schema/index.ts';
import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { named, wherever } from './named.ts';

/** When somebody is told that something is not as it should be, and how. */
export const alarmRules: readonly Rule[] = [
  {
    id: 'C8',
    severity: 'error',
    means:
      'Backups or WAL are scheduled more often than any alarm looks at, or every alarm comes later than what may be lost.',
    why: 'Increments or WAL may fail for as long as the slowest alarm waits before anybody hears of it, and so much is lost on that day.',
    settle:
      'Give each kind its own alarm: thresholds.incrementAge a little above the interval of increments, thresholds.walAge a minute or so.',
    find: (plan) => {
      const { thresholds } = plan;
      const unseen = [
        ...(thresholds.incrementAge === null ? jobsOf(plan, 'increment') : []),
        ...(thresholds.walAge === null ? jobsOf(plan, 'wal') : []),
      ];
      const told = (['backupAge', 'incrementAge', 'walAge'] as const).flatMap((key) => {
        const ms = thresholds[key];
        return ms === null ? [] : [{ option: `thresholds.${key}`, ms }];
      });
      // That nothing raises an alarm at all is a finding of its own.
      if (told.length === 0) return [];
      const first = told.reduce((a, b) => (b.ms < a.ms ? b : a));
      const { rpo } = plan.objectives;
      if (unseen.length > 0) {
        const names = unseen.map(({ entry }) => `"${entry.name}" (${entry.when.text})`);
        const says = `The first alarm comes after ${formatExactDuration(first.ms)}, and nothing tells when ${formatList(names)} fail.`;
        return [{ at: [first.option, ...unseen.map(({ option }) => `${option}.when`)], says }];
      }
      // No alarm comes at once: no loss at all is what replicas promise.
      if (rpo === null || rpo === 0 || first.ms <= rpo) return [];
      const says = `No more than ${formatExactDuration(rpo)} may be lost, and the first alarm comes after ${formatExactDuration(first.ms)}.`;
      return [{ at: ['objectives.rpo', first.option], says }];
    },
  },
  {
    id: 'alarm-early',
    severity: 'error',
    means: 'An alarm comes before the next backup is due.',
    why: 'It is raised every day although nothing is wrong, until nobody looks at it any more.',
    settle: 'Let the alarm wait for the interval of the schedule and the time that a backup takes.',
    find: (plan) =>
      (['backupAge', 'incrementAge'] as const).flatMap((key): Occurrence[] => {
        const threshold = plan.thresholds[key];
        const own =
          key === 'backupAge' ? jobsOf(plan, 'full') : [...jobsOf(plan, 'full'), ...jobsOf(plan, 'increment')];
        if (threshold === null || own.length === 0) return [];
        const gap = longestCommonGapMs(own.map(({ entry }) => entry));
        if (gap < threshold) return [];
        const says = `The alarm comes after ${formatExactDuration(threshold)}, and backups come up to ${formatExactDuration(gap)} apart.`;
        return [{ at: [`thresholds.${key}`, ...own.map(({ option }) => `${option}.when`)], says }];
      }),
  },
  {
    id: 'alarm-absent',
    severity: 'warning',
    means: 'Backups are scheduled, and no age of them raises an alarm.',
    why: 'Backups that stopped look the same as backups that go on, until one is needed.',
    settle: 'Set thresholds.backupAge, and incrementAge and walAge where there are increments and WAL.',
    find: (plan) => {
      const { backupAge, incrementAge, walAge } = plan.thresholds;
      const own = ['full', 'increment', 'wal'].flatMap((job) => jobsOf(plan, job));
      if (own.length === 0 || [backupAge, incrementAge, walAge].some((age) => age !== null)) return [];
      return [{ at: ['thresholds', ...own.map(({ option }) => option)], says: 'No age of a backup raises an alarm.' }];
    },
  },
  {
    id: 'alarm-unheard',
    severity: 'error',
    means: 'Alarms are declared, and some of them go nowhere.',
    why: 'What is found and told to nobody might as well not have been looked for.',
    settle:
      'Name them among the events of a route without severities, or add a route without events and severities, which carries all.',
    find: ({ routes, thresholds }) => {
      if (routes.length === 0) {
        const set = Object.entries(thresholds).flatMap(([key, value]) => (value === null ? [] : [`thresholds.${key}`]));
        return set.length === 0 ? [] : [{ at: set, says: 'Thresholds raise alarms, and no route carries any.' }];
      }
      const unheard = alarms.filter((alarm) => {
        const taking = routes.filter(({ events }) => events.length === 0 || events.includes(alarm));
        const degrees = new Set<string>(taking.flatMap((route) => route.severities));
        return !taking.some((route) => route.severities.length === 0) && !severities.every((each) => degrees.has(each));
      });
      if (unheard.length === 0) return [];
      const isPart = routes.some(({ severities: some }) => some.length > 0);
      return [
        {
          at: named('routes', routes).map(({ option }) => `${option}.events`),
          says: `No route carries ${formatList(unheard)}${isPart ? ', or not in every severity' : ''}.`,
        },
      ];
    },
  },
  {
    id: 'route-one-way',
    severity: 'warning',
    means: 'Alarms go one way only.',
    why: 'When that way is down, which is likely in the very outage, nobody hears of anything.',
    settle: 'Name a second channel, or one for when the first does not take the message (otherwise).',
    find: ({ routes }) =>
      wherever(
        'routes',
        routes,
        (route) => new Set([...route.channels, ...(route.otherwise === null ? [] : [route.otherwise])]).size < 2,
        (route) =>
          `"${route.name}" goes to ${formatList(route.channels.map((name) => `"${name}"`)) || 'nowhere'} and nowhere else.`,
      ),
  },
  {
    id: 'channel-unreachable',
    severity: 'error',
    means: 'A channel has an address, and nothing that opens it.',
    why: 'Nothing can be sent there: the service takes messages only from whoever has the URL of its webhook, or a token.',
    settle: 'Say where its secret lies: { env }, { file } or { command }.',
    find: ({ channels }) =>
      wherever(
        'channels',
        channels,
        ({ kind, secret }) => secretive.has(kind) && secret === null,
        ({ name, kind }) => `"${name}" is of kind ${kind} and has no secret.`,
      ),
  },
  {
    id: 'escalation-without-wait',
    severity: 'error',
    means: 'An escalation does not say how long somebody has before the next is called.',
    why: 'The next one is called at once or never, and nobody knows which.',
    settle: 'Give each step after the first a time (after).',
    find: ({ escalations }) =>
      named('escalations', escalations).flatMap(({ option, entry }) => {
        const silent = named(`${option}.steps`, entry.steps).filter(
          ({ entry: step }, index) => index > 0 && step.after === null,
        );
        if (silent.length === 0) return [];
        const names = formatList(silent.map(({ entry: step }) => `"${step.call}"`));
        return [
          {
            at: silent.map((step) => step.option),
            says: `"${entry.name}" does not say after how long to call ${names}.`,
          },
        ];
      }),
  },
  {
    id: 'escalation-unused',
    severity: 'warning',
    means: 'No route leads to an escalation.',
    why: 'Nobody in it is ever called.',
    settle: 'Name it in a route (escalation), or take it away.',
    find: ({ escalations, routes }) =>
      wherever(
        'escalations',
        escalations,
        ({ name }) => routes.every(({ escalation }) => escalation !== name),
        ({ name }) => `No route leads to "${name}".`,
      ),
  },
];

/** Kinds of channels that take messages only from whoever proves to be allowed to send them. Mail and telephone may be sent by this host's own. */
const secretive: ReadonlySet<string> = new Set(['slack', 'teams', 'sms', 'pager', 'webhook', 'github-issue']);

function jobsOf({ schedules }: LintedPlan, job: string) {
  return named('schedules', schedules).filter(({ entry }) => entry.job === job);
}
