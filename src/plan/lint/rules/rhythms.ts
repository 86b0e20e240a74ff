import { formatExactDuration } from '../../../lib/index.ts';
import { longestCommonGapMs, longestGapMs } from '../../schedule.ts';
import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { named } from './named.ts';

/** How often things are done, where two places say it. */
export const rhythmRules: readonly Rule[] = [
  {
    id: 'C6',
    severity: 'error',
    means: 'A mirror of the code is brought up to date less often than it may be behind.',
    why: 'On the day on which the first place is gone, the mirror lacks the work of as long as its schedule leaves.',
    settle: 'Mirror continuously, or say that mirrors may be behind by as much as their schedule.',
    find: ({ application }) =>
      named('application.repositories', application.repositories).flatMap(({ option, entry }) => {
        const lag = entry.mirrorLag;
        if (lag === null) return [];
        const late = named(`${option}.mirrors`, entry.mirrors).filter(
          (mirror) => longestGapMs(mirror.entry.when) > lag,
        );
        if (late.length === 0) return [];
        const gap = Math.max(...late.map((mirror) => longestGapMs(mirror.entry.when)));
        const names = formatList(late.map((mirror) => `"${mirror.entry.name}"`));
        return [
          {
            at: [`${option}.mirrorLag`, ...late.map((mirror) => `${mirror.option}.when`)],
            says: `Mirrors of "${entry.name}" may be ${formatExactDuration(lag)} behind, and ${names} may be ${formatExactDuration(gap)} behind by schedule.`,
          },
        ];
      }),
  },
  {
    id: 'C7',
    severity: 'error',
    means: 'Two restore tests do the same at different times.',
    why: 'The rarer one proves nothing that the other did not prove before, so that what it was meant to prove is never tested.',
    settle:
      'Give them different depths: the newest snapshot often, a random moment with the probes of the application more rarely. Or leave one out.',
    find: ({ verification }) =>
      sameTwice(
        named('verification.restoreTests', verification.restoreTests),
        (test) => `${test.depth} of ${test.cluster ?? 'each cluster'}`,
        (names, of) => `The restore tests ${names} have the same depth (${of}).`,
        'depth',
      ),
  },
  {
    id: 'C11',
    severity: 'error',
    means: 'Two drills rehearse the same in the same way at different times.',
    why: 'Nobody knows in what they differ, so the larger one will be held like the smaller one, and people are never rehearsed.',
    settle:
      'Say in what they differ: scope "technical" for one, "with-people" for the other, or other scenarios. Or leave one out.',
    find: ({ drills }) =>
      sameTwice(
        named('drills', drills),
        (drill) =>
          `${drill.scope}, ${drill.scenarios.length === 0 ? 'all scenarios' : formatList([...drill.scenarios].sort())}`,
        (names, of) => `The drills ${names} are the same (${of}).`,
        'scope',
      ),
  },
  {
    id: 'drill-too-rare',
    severity: 'error',
    means: 'Drills take scenarios in turn, and come too rarely for each to be drilled as often as it says.',
    why: 'A scenario that is overdue from the first period on will be overdue for ever, and nobody looks at it any more.',
    settle:
      'Hold drills more often, or for fewer scenarios each, or let scenarios wait longer for theirs (drillEvery).',
    find: (plan) =>
      named('scenarios', plan.scenarios).flatMap(({ option, entry }): Occurrence[] => {
        const drills = drillsOf(plan, entry.name);
        if (entry.drillEvery === null || drills.length === 0) return [];
        const turn = turnOf(
          plan,
          drills.map((drill) => drill.entry),
        );
        if (turn <= entry.drillEvery) return [];
        return [
          {
            at: [`${option}.drillEvery`, ...drills.map((drill) => `${drill.option}.when`)],
            says: `"${entry.name}" is to be drilled every ${formatExactDuration(entry.drillEvery)}, and by turn it comes up every ${formatExactDuration(turn)}.`,
          },
        ];
      }),
  },
  {
    id: 'scenario-without-drill',
    severity: 'warning',
    means: 'No drill rehearses a scenario.',
    why: 'What was never rehearsed is believed, and not known.',
    settle: 'Name it among the scenarios of a drill.',
    find: (plan) =>
      named('scenarios', plan.scenarios).flatMap(({ option, entry }) =>
        drillsOf(plan, entry.name).length > 0 ? [] : [{ at: [option], says: `No drill rehearses "${entry.name}".` }],
      ),
  },
  {
    id: 'scrub-too-rare',
    severity: 'error',
    means: 'Stored objects are read less often than new ones are to be read for the first time.',
    why: 'Damage at writing is then found when the server no longer has what was written.',
    settle: 'Scrub as often as newWithin says, or allow more time there.',
    find: ({ verification: { scrub } }) => {
      if (scrub === null || longestGapMs(scrub.when) <= scrub.newWithin) return [];
      return [
        {
          at: ['verification.scrub.when', 'verification.scrub.newWithin'],
          says: `New objects are to be read within ${formatExactDuration(scrub.newWithin)}, and scrubs come up to ${formatExactDuration(longestGapMs(scrub.when))} apart.`,
        },
      ];
    },
  },
];

function drillsOf({ drills }: LintedPlan, scenario: string) {
  return named('drills', drills).filter(
    ({ entry }) => entry.scenarios.length === 0 || entry.scenarios.includes(scenario),
  );
}

/**
 * After what time a scenario comes up again. Series of drills that take the same scenarios in turn are one series, in which it comes up once in as many drills as
 * there are scenarios; several such shorten the wait at best as if they came evenly, which is rounded up to minutes.
 */
function turnOf({ scenarios }: LintedPlan, drills: LintedPlan['drills']): number {
  const series = Map.groupBy(drills, (drill) => [...drill.scenarios].sort().join());
  const turns = [...series.values()].map(
    (same) => longestCommonGapMs(same) * (same[0]!.scenarios.length || scenarios.length),
  );
  if (turns.length === 1) return turns[0]!;
  const minuteMs = 60_000;
  return Math.ceil(1 / turns.reduce((rate, each) => rate + 1 / each, 0) / minuteMs) * minuteMs;
}

/** Entries that are alike in what they do, each group of them once. */
function sameTwice<Entry extends { readonly name: string }>(
  entries: readonly { option: string; entry: Entry }[],
  describe: (entry: Entry) => string,
  says: (names: string, of: string) => string,
  key: string,
): Occurrence[] {
  const groups = Map.groupBy(entries, ({ entry }) => describe(entry));
  return [...groups].flatMap(([of, alike]) =>
    alike.length < 2
      ? []
      : [
          {
            at: alike.map(({ option }) => `${option}.${key}`),
            says: says(formatList(alike.map(({ entry }) => `"${entry.name}"`)), of),
          },
        ],
  );
}
