import { formatExactDuration } from '../../../lib/index.ts';
import { longestCommonGapMs } from '../../schedule.ts';
import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { named } from './named.ts';
import { strikesDatabase } from './outages.ts';

/** What is promised of how much may be lost. */
export const lossRules: readonly Rule[] = [
  {
    id: 'C2',
    severity: 'error',
    means:
      'A scenario or a function may lose more than the service as a whole, or than the data that it is about can bear.',
    why: 'The same data are promised twice, and only the looser promise is planned for.',
    settle:
      'Bring the looser promise down to the stricter one, or say of the data or of the whole what may really be lost.',
    find: (plan) => [...looserThanWhole(plan), ...looserThanData(plan)],
  },
  {
    id: 'schedule-misses-promise',
    severity: 'error',
    means: 'Backups, or other places of the code, come further apart than what may be lost.',
    why: 'What was written since the last backup is lost, and that may be as long ago as the schedule allows.',
    settle:
      'Keep WAL (a schedule with job "wal" and when "continuous"), back up more often, or promise what the schedule keeps.',
    find: (plan) => [
      ...scheduleAgainstWhole(plan),
      ...scheduleAgainstFunctions(plan),
      ...scheduleAgainstScenarios(plan),
      ...scheduleAgainstData(plan),
    ],
  },
  {
    id: 'zero-loss-without-replica',
    severity: 'error',
    means: 'Data bear no loss, and no commit waits for another server.',
    why: 'What is confirmed before it lies on a second machine is lost with the first one.',
    settle: 'Declare a replica with mode "synchronous", or say what may be lost.',
    find: (plan) =>
      zeroLossData(plan).flatMap(({ option, entry }) =>
        synchronousReplicas(plan, clusterOf(plan, entry)).length > 0
          ? []
          : [
              {
                at: [`${option}.maxLoss`],
                says: `"${entry.name}" bears no loss, and ${entry.cluster === null ? 'its cluster' : `"${entry.cluster}"`} has no synchronous replica.`,
              },
            ],
      ),
  },
  {
    id: 'zero-loss-lapses',
    severity: 'error',
    means: 'Data bear no loss, and commits go on without waiting when a synchronous replica is away.',
    why: 'The promise is gone at the very moment at which one of two servers is.',
    settle: 'Let commits wait (whenAway: "block") and have a second synchronous replica, or say what may be lost.',
    find: (plan) =>
      zeroLossData(plan).flatMap(({ option, entry }) => {
        const lapsing = synchronousReplicas(plan, clusterOf(plan, entry)).filter(
          (each) => each.entry.whenAway === 'degrade',
        );
        if (lapsing.length === 0) return [];
        const names = formatList(lapsing.map((each) => `"${each.entry.name}"`));
        return [
          {
            at: [`${option}.maxLoss`, ...lapsing.map((each) => `${each.option}.whenAway`)],
            says: `"${entry.name}" bears no loss, and commits do not wait for ${names} while it is away.`,
          },
        ];
      }),
  },
  {
    id: 'failover-may-lose',
    severity: 'error',
    means: 'Data bear no loss, and a replica for which no commit waits may become the primary with nobody asked.',
    why: 'It may be behind, and what it has not got is lost once it is the primary.',
    settle:
      'Say of those replicas that they may not be the primary (mayBePrimary: false), or let a person decide (failover: "by-hand").',
    find: (plan) =>
      zeroLossData(plan).flatMap(({ option, entry }) => {
        const cluster = named('clusters', plan.clusters).find(({ entry: { name } }) => isOf(plan, entry.cluster, name));
        if (cluster === undefined || cluster.entry.failover !== 'automatic') return [];
        const behind = named('replicas', plan.replicas).filter(
          (each) =>
            isOf(plan, each.entry.cluster, cluster.entry.name) &&
            each.entry.mode === 'asynchronous' &&
            each.entry.mayBePrimary,
        );
        if (behind.length === 0) return [];
        const names = formatList(behind.map((each) => `"${each.entry.name}"`));
        return [
          {
            at: [`${option}.maxLoss`, `${cluster.option}.failover`, ...behind.map((each) => each.option)],
            says: `"${entry.name}" bears no loss, failover is automatic, and ${names} may be promoted without having every commit.`,
          },
        ];
      }),
  },
];

function looserThanWhole({ objectives: { rpo }, functions, scenarios }: LintedPlan): Occurrence[] {
  if (rpo === null) return [];
  return [...named('functions', functions), ...named('scenarios', scenarios)].flatMap(({ option, entry }) =>
    entry.rpo === null || entry.rpo <= rpo
      ? []
      : [
          {
            at: ['objectives.rpo', `${option}.rpo`],
            says: `The whole service is promised to lose no more than ${formatExactDuration(rpo)}, and "${entry.name}" may lose ${formatExactDuration(entry.rpo)}.`,
          },
        ],
  );
}

/** What data bear is said of the loss of one server with its disk, so it binds the scenario of that, and every function. */
function looserThanData(plan: LintedPlan): Occurrence[] {
  const { functions, scenarios } = plan;
  const ofDatabase = named('scenarios', scenarios).filter(({ entry }) => strikesDatabase(entry));
  return named('dataSets', plan.dataSets).flatMap(({ option, entry: { name, kind, maxLoss } }) => {
    if (maxLoss === null) return [];
    const users = functions.filter(({ dataSets }) => dataSets.includes(name)).map((each) => each.name);
    const struck = ofDatabase.filter(
      ({ entry: { affects } }) =>
        kind === 'database' && (affects === null || users.some((user) => affects.includes(user))),
    );
    const needing = named('functions', functions).filter(({ entry }) => entry.dataSets.includes(name));
    return [...struck, ...needing].flatMap((each) =>
      each.entry.rpo === null || each.entry.rpo <= maxLoss
        ? []
        : [
            {
              at: [`${option}.maxLoss`, `${each.option}.rpo`],
              says: `"${name}" bears ${maxLoss === 0 ? 'no loss' : `a loss of ${formatExactDuration(maxLoss)}`}, and "${each.entry.name}" may lose ${formatExactDuration(each.entry.rpo)}.`,
            },
          ],
    );
  });
}

const restoring: ReadonlySet<string | null> = new Set(['restore', 'point-in-time', 'other-provider']);

/** Where data are damaged and not a server lost, replicas have the damage, too: only backups keep the promise then. */
function scheduleAgainstWhole(plan: LintedPlan): Occurrence[] {
  const { rpo } = plan.objectives;
  // No loss at all is what replicas promise.
  if (rpo === null || rpo === 0) return [];
  return plan.clusters.flatMap(({ name }) => farApart(plan, name, rpo, 'objectives.rpo', 'The whole service'));
}

function scheduleAgainstFunctions(plan: LintedPlan): Occurrence[] {
  return named('functions', plan.functions).flatMap(({ option, entry: { name, rpo, dataSets } }) => {
    if (rpo === null || rpo === 0) return [];
    const own = plan.dataSets.filter((each) => each.kind === 'database' && dataSets.includes(each.name));
    // Without a word on what it needs, it is the database where there is one.
    const stated = dataSets.length === 0 ? [null] : own.map(({ cluster }) => cluster);
    return plan.clusters.flatMap((cluster) =>
      stated.some((each) => isOf(plan, each, cluster.name))
        ? farApart(plan, cluster.name, rpo, `${option}.rpo`, `"${name}"`)
        : [],
    );
  });
}

function scheduleAgainstScenarios(plan: LintedPlan): Occurrence[] {
  return named('scenarios', plan.scenarios).flatMap(({ option, entry }) => {
    if (!restoring.has(entry.method)) return [];
    return plan.clusters.flatMap(({ name }) => farApart(plan, name, entry.rpo, `${option}.rpo`, `"${entry.name}"`));
  });
}

function scheduleAgainstData(plan: LintedPlan): Occurrence[] {
  return named('dataSets', plan.dataSets).flatMap(({ option, entry: { name, kind, cluster, maxLoss } }) => {
    if (maxLoss === null) return [];
    const [at, who] = [`${option}.maxLoss`, `"${name}"`];
    if (kind === 'code') return codeApart(plan, maxLoss, at, who);
    if (kind !== 'database') return applicationApart(plan, maxLoss, at, who);
    // What bears no loss at all is a matter of replicas.
    if (maxLoss === 0) return [];
    return plan.clusters.flatMap((each) =>
      isOf(plan, cluster, each.name) ? farApart(plan, each.name, maxLoss, at, who) : [],
    );
  });
}

/** `[]` when the backups of a cluster come often enough. */
function farApart(plan: LintedPlan, cluster: string, mayLose: number, at: string, who: string): Occurrence[] {
  const own = named('schedules', plan.schedules).filter(
    ({ entry }) =>
      ['full', 'increment', 'wal', 'dump'].includes(entry.job) && (entry.cluster === null || entry.cluster === cluster),
  );
  return gapOccurrence(own.map(toMoments), mayLose, at, who, `backups of "${cluster}"`);
}

function applicationApart(plan: LintedPlan, mayLose: number, at: string, who: string): Occurrence[] {
  const own = named('schedules', plan.schedules).filter(({ entry }) => entry.job === 'application');
  return gapOccurrence(own.map(toMoments), mayLose, at, who, 'copies of the application');
}

/** Of each git repository that has other places: how far all of them may be behind. */
function codeApart({ application }: LintedPlan, mayLose: number, at: string, who: string): Occurrence[] {
  return named('application.repositories', application.repositories).flatMap(({ option, entry }) => {
    const bundle = entry.bundle === null ? [] : [{ at: `${option}.bundle`, when: entry.bundle, timeZone: 'UTC' }];
    const own = [...named(`${option}.mirrors`, entry.mirrors).map(toMoments), ...bundle];
    return gapOccurrence(own, mayLose, at, who, `mirrors and bundles of "${entry.name}"`);
  });
}

type Moments = Parameters<typeof longestCommonGapMs>[0][number] & { readonly at: string };

function toMoments({ option, entry }: { option: string; entry: Omit<Moments, 'at'> }): Moments {
  return { at: `${option}.when`, when: entry.when, timeZone: entry.timeZone };
}

function gapOccurrence(own: readonly Moments[], mayLose: number, at: string, who: string, what: string): Occurrence[] {
  // That nothing is scheduled at all is a finding of its own: cluster-unscheduled, data-set-unprotected.
  if (own.length === 0) return [];
  const gap = longestCommonGapMs(own);
  if (gap <= mayLose) return [];
  const says = `${who} may lose ${formatExactDuration(mayLose)}, and ${what} come up to ${formatExactDuration(gap)} apart.`;
  return [{ at: [at, ...own.map((each) => each.at)], says }];
}

/** Whether something that names a cluster, or leaves it out where there is one, is about this one. */
export function isOf({ clusters }: LintedPlan, stated: string | null, cluster: string): boolean {
  return stated === null ? clusters.length === 1 : stated === cluster;
}

export function zeroLossData({ dataSets }: LintedPlan) {
  return named('dataSets', dataSets).filter(({ entry }) => entry.kind === 'database' && entry.maxLoss === 0);
}

/** The cluster that a data set lies in; `null` when nothing says it. */
function clusterOf(plan: LintedPlan, { cluster }: LintedPlan['dataSets'][number]): string | null {
  return plan.clusters.find(({ name }) => isOf(plan, cluster, name))?.name ?? null;
}

/** Those of one cluster; none of a cluster that nothing names. */
export function synchronousReplicas(plan: LintedPlan, cluster: string | null) {
  return named('replicas', plan.replicas).filter(
    ({ entry }) => entry.mode === 'synchronous' && cluster !== null && isOf(plan, entry.cluster, cluster),
  );
}
