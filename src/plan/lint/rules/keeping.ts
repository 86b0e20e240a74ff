import { formatExactDuration } from '../../../lib/index.ts';
import type { RetentionRules } from '../../resolved-plan.ts';
import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { named } from './named.ts';

const dayMs = 24 * 60 * 60 * 1000;
/** As durations count it: what is promised for years is never kept for less. */
const yearMs = 366 * dayMs;

/** What is kept, for how long, and what must not be. */
export const keepingRules: readonly Rule[] = [
  {
    id: 'C5',
    severity: 'error',
    means:
      'Personal data stay in backups for longer than they may be kept, or nobody says what becomes there of a person who was erased.',
    why: 'Whoever asks to be erased stays in every backup until that goes, and comes back with a restore.',
    settle:
      'Say after what time the data are to be gone (keepFor), keep backups no longer than that, and let every restore erase again (erasure: "reapplied").',
    find: (plan) =>
      named('compliance.personalData', plan.compliance.personalData).flatMap(({ option, entry }) => {
        const kept = longestKept(plan, entry.dataSet);
        const { name, keepFor, erasure } = entry;
        const lacks = [
          ...(keepFor === null ? ['no time after which they are gone'] : []),
          ...(erasure === null ? ['no word on a person who was erased'] : []),
        ];
        const claims = [
          ...(keepFor !== null && kept.ms > keepFor ? [`are to be gone after ${formatExactDuration(keepFor)}`] : []),
          ...(lacks.length > 0 ? [`have ${formatList(lacks)}`] : []),
        ];
        if (claims.length === 0) return [];
        return [
          {
            at: [kept.option, option],
            says: `Backups of "${entry.dataSet}" stay ${formatKept(kept.ms)}, and personal data "${name}" ${formatList(claims)}.`,
          },
        ];
      }),
  },
  {
    id: 'C10',
    severity: 'error',
    means: 'The first place of the repository keeps less than the plan says that is kept.',
    why: 'What is gone from the first place was promised to be there, and a place that has yet to catch up never gets it.',
    settle:
      'Keep the same in both (leave retention.copies.primary out), or make the shorter rules the default and give the longer ones to the copy that is to keep longer.',
    find: ({ retention, clusters }) => {
      const own = retention.copies.primary;
      if (own === undefined) return [];
      const isUsed = clusters.length === 0 || clusters.some(({ name }) => retention.clusters[name] === undefined);
      const promised = [
        ...(retention.default !== null && isUsed ? [{ option: 'retention.default', rules: retention.default }] : []),
        ...Object.entries(retention.clusters).map(([name, rules]) => ({ option: `retention.clusters.${name}`, rules })),
      ];
      return promised.flatMap(({ option, rules }) => {
        const lacks = listLacking(own, rules);
        if (lacks.length === 0) return [];
        const says = `The first place keeps less than ${option} says, by ${formatList(lacks)}.`;
        return [{ at: [option, 'retention.copies.primary'], says }];
      });
    },
  },
  {
    id: 'retention-short',
    severity: 'error',
    means: 'Something has to be kept for longer than any rule of retention keeps it.',
    why: 'The newest snapshot of each of seven years is no more than six years old on the first day of the seventh: the last of the oldest year is all that is left of it.',
    settle: 'Keep one year (month, week, day) more than the promise counts, or promise less.',
    find: (plan) =>
      named('compliance.retentionClasses', plan.compliance.retentionClasses).flatMap(
        ({ option, entry }): Occurrence[] => {
          const dataSets = entry.dataSets.length === 0 ? plan.dataSets.map(({ name }) => name) : entry.dataSets;
          const clusters = new Set(
            dataSets.length === 0 ? clustersIn(plan) : dataSets.flatMap((name) => clustersOf(plan, name)),
          );
          const short = [...clusters].flatMap((cluster) => {
            // One place that keeps it is enough.
            const best = keepingOf(plan, cluster).reduce((a, b) => (reachOf(b.rules) > reachOf(a.rules) ? b : a));
            const reach = reachOf(best.rules);
            return reach >= entry.keepFor ? [] : [{ option: best.option, reach }];
          });
          return [...Map.groupBy(short, ({ option }) => option)].map(([rules, [first]]) => ({
            at: [`${option}.keepFor`, rules],
            says: `"${entry.name}" has to be kept for ${formatExactDuration(entry.keepFor)}, and snapshots surely reach back ${formatExactDuration(first!.reach)}.`,
          }));
        },
      ),
  },
  {
    id: 'retention-not-run',
    severity: 'warning',
    means: 'There are rules of retention, and no schedule that deletes by them.',
    why: 'Nothing is ever deleted then: what must not be kept for longer stays, and the store fills.',
    settle: 'Add a schedule with job "prune".',
    find: (plan) => {
      const { retention } = plan;
      const [first] = [
        ...(retention.default === null ? [] : ['retention.default']),
        ...(['clusters', 'copies'] as const).flatMap((part) =>
          Object.keys(retention[part]).map((name) => `retention.${part}.${name}`),
        ),
      ];
      if (first === undefined || plan.schedules.some(({ job }) => job === 'prune')) return [];
      return [{ at: [first], says: 'Rules say what goes, and no schedule lets it go.' }];
    },
  },
  {
    id: 'lock-outlasts-retention',
    severity: 'warning',
    means: 'Objects are locked for longer than any rule keeps them.',
    why: 'They cannot be deleted when retention lets them go, and are paid for until their locks end.',
    settle: 'Lock for no longer than the rules keep, or keep for as long as they are locked.',
    find: (plan) =>
      plan.stated.flatMap(({ path, option, meaning, origin }) => {
        const place = /^repository\.(?:copies\.)?([^.]+)\.lock$/.exec(path)?.[1];
        if (place === undefined || origin === null) return [];
        const held = clustersIn(plan).flatMap((cluster) => keepingAt(plan, cluster, place));
        const longest = held.reduce((a, b) => (ceilingOf(b.rules) > ceilingOf(a.rules) ? b : a));
        const [lock, reach] = [Number(meaning), ceilingOf(longest.rules)];
        if (lock <= reach) return [];
        const says = `Objects are locked for ${formatExactDuration(lock)}, and no rule keeps a snapshot there for longer than ${formatExactDuration(reach)}.`;
        return [{ at: [option, longest.option], says }];
      }),
  },
];

/** What holds in one place, and where it is said; without rules everything is kept for ever. */
interface Keeping {
  readonly option: string;
  readonly rules: RetentionRules | null;
}

/** Rules of a place come before those of the cluster, and these before the default. `null` for what lies in no cluster. */
function keepingAt({ retention }: LintedPlan, cluster: string | null, place: string): Keeping {
  const ofPlace = retention.copies[place];
  if (ofPlace !== undefined) return { option: `retention.copies.${place}`, rules: ofPlace };
  const ofCluster = cluster === null ? undefined : retention.clusters[cluster];
  if (ofCluster !== undefined) return { option: `retention.clusters.${cluster}`, rules: ofCluster };
  return retention.default === null
    ? { option: 'retention', rules: null }
    : { option: 'retention.default', rules: retention.default };
}

/** The same in every place of the repository. */
function keepingOf(plan: LintedPlan, cluster: string | null): Keeping[] {
  const copies = plan.stated.flatMap(({ path }) => /^repository\.copies\.([^.]+)\./.exec(path)?.[1] ?? []);
  return [...new Set(['primary', ...copies])].map((place) => keepingAt(plan, cluster, place));
}

/** Every cluster; `null` where the plan has none. */
function clustersIn({ clusters }: LintedPlan): (string | null)[] {
  return clusters.length === 0 ? [null] : clusters.map(({ name }) => name);
}

/** Where a data set lies: in no cluster when it is none of a database, and in any of them where nothing says in which. */
function clustersOf(plan: LintedPlan, dataSet: string): (string | null)[] {
  const found = plan.dataSets.find(({ name }) => name === dataSet)!;
  if (found.cluster !== null) return [found.cluster];
  return found.kind === 'database' ? clustersIn(plan) : [null];
}

const calendarRules = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
type CalendarRule = (typeof calendarRules)[number];

/** Rules that keep, for as far as they reach, all that one of longer periods keeps: the newest of a year is the newest of its month and of its day. */
const finer: Readonly<Record<CalendarRule, readonly CalendarRule[]>> = {
  hourly: ['hourly'],
  daily: ['hourly', 'daily'],
  weekly: ['hourly', 'daily', 'weekly'],
  monthly: ['hourly', 'daily', 'monthly'],
  yearly: ['hourly', 'daily', 'monthly', 'yearly'],
};

/** Which of the promised rules keep something that the place's own rules do not. */
function listLacking(own: RetentionRules, promised: RetentionRules): string[] {
  const within = own.keepWithin ?? 0;
  const lacksRule = (rule: CalendarRule) => {
    const ceiling = ceilingBy(rule, promised[rule]);
    const reach = Math.max(within, ...finer[rule].map((each) => reachBy(each, own[each])));
    return own[rule] < promised[rule] && reach < ceiling;
  };
  return [
    ...(within < (promised.keepWithin ?? 0) ? ['keepWithin'] : []),
    ...calendarRules.filter(lacksRule),
    ...(own.keepAtLeast < promised.keepAtLeast ? ['keepAtLeast'] : []),
    ...(promised.keepTags.every((tag) => own.keepTags.includes(tag)) ? [] : ['keepTags']),
    ...(walOf(own) < walOf(promised) ? ['wal'] : []),
  ];
}

function walOf({ wal, keepWithin }: RetentionRules): number {
  return wal ?? keepWithin ?? 0;
}

/**
 * How far back snapshots surely reach when backups never fail, in milliseconds: the newest of each of N years is as good as a year gone on the first day of the
 * year after, so that N of them reach back N - 1 years. Without rules, and so for ever, without an end.
 */
function reachOf(rules: RetentionRules | null): number {
  if (rules === null) return Number.POSITIVE_INFINITY;
  return Math.max(rules.keepWithin ?? 0, ...calendarRules.map((rule) => reachBy(rule, rules[rule])));
}

/** How old a snapshot, or WAL, gets at the most while backups never fail. One with a tag that is kept has no end. */
function ceilingOf(rules: RetentionRules | null): number {
  if (rules === null || rules.keepTags.length > 0) return Number.POSITIVE_INFINITY;
  const { keepWithin } = rules;
  return Math.max(keepWithin ?? 0, walOf(rules), ...calendarRules.map((rule) => ceilingBy(rule, rules[rule])));
}

const periodMs = { hourly: dayMs / 24, daily: dayMs, weekly: 7 * dayMs } as const;

/** Twelve months are a year; any fewer have at least 30 days each but for two, which February lacks. */
function reachBy(rule: CalendarRule, count: number): number {
  const whole = Math.max(0, count - 1);
  if (rule === 'yearly') return whole * yearMs;
  if (rule !== 'monthly') return whole * periodMs[rule];
  return Math.floor(whole / 12) * yearMs + Math.max(0, (whole % 12) * 30 - 2) * dayMs;
}

function ceilingBy(rule: CalendarRule, count: number): number {
  if (rule === 'yearly') return count * yearMs;
  if (rule !== 'monthly') return count * periodMs[rule];
  return Math.floor(count / 12) * yearMs + (count % 12) * 31 * dayMs;
}

/** For how long a data set stays in backups by what the plan says, and which option says it. */
function longestKept(plan: LintedPlan, dataSet: string): { option: string; ms: number } {
  return [
    ...clustersOf(plan, dataSet)
      .flatMap((cluster) => keepingOf(plan, cluster))
      .map(({ option, rules }) => ({ option, ms: ceilingOf(rules) })),
    ...named('compliance.retentionClasses', plan.compliance.retentionClasses)
      .filter(({ entry }) => entry.dataSets.length === 0 || entry.dataSets.includes(dataSet))
      .map(({ option, entry }) => ({ option: `${option}.keepFor`, ms: entry.keepFor })),
  ].reduce((a, b) => (b.ms >= a.ms ? b : a));
}

function formatKept(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? 'for ever' : `for up to ${formatExactDuration(ms)}`;
}
