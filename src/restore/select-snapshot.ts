import { formatLsn } from '../postgres/index.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import type { SnapshotFacts } from './snapshot-facts.ts';
import { routeEnd, type WalRoute, whyNotOnRoute } from './wal-route.ts';

/** A snapshot from which the target may be reached. */
export interface Candidate {
  readonly snapshot: SnapshotFacts;
  /** The end of the WAL that is stored without a gap from its start on. */
  readonly reach: bigint;
}

/** A snapshot that was passed over, with the reason in words: "snapshot … because <reason>". */
export interface Rejection {
  readonly snapshot: SnapshotFacts;
  readonly reason: string;
}

/** Snapshots in the order in which they are tried, the newest first, and why others are not. */
export interface SnapshotChoice {
  readonly candidates: readonly Candidate[];
  readonly rejected: readonly Rejection[];
}

/** Positions to which a route can be restored from some snapshot. */
export interface ReachableRange {
  /** Where the oldest snapshot of the range is complete. */
  readonly from: bigint;
  /** The end of the WAL that is stored without a gap. */
  readonly to: bigint;
  /** The oldest snapshot of the range. */
  readonly snapshot: SnapshotFacts;
}

/**
 * Sorts the snapshots of a cluster for a target: the newest that was complete before the target, and from which WAL leads there without a
 * gap, is the best, as it needs the least replay. The others follow, should its WAL turn out to be damaged.
 *
 * Whether a snapshot was complete before a time stands in the WAL and is found when the time is resolved; here all are candidates.
 */
export function selectSnapshots(options: {
  snapshots: readonly SnapshotFacts[];
  route: WalRoute;
  target: RecoveryTarget;
  exclusive: boolean;
}): SnapshotChoice {
  const candidates: Candidate[] = [];
  const rejected: Rejection[] = [];
  for (const snapshot of newestFirst(options.snapshots)) {
    const reach = routeEnd(options.route, snapshot.start);
    const reason = whyUnusable(snapshot, options.route, reach) ?? whyNotFor(snapshot, options, reach);
    if (reason === null) candidates.push({ snapshot, reach });
    else rejected.push({ snapshot, reason });
  }
  return { candidates, rejected };
}

function whyUnusable(snapshot: SnapshotFacts, route: WalRoute, reach: bigint): string | null {
  const foreign = whyNotOnRoute(route, snapshot);
  if (foreign !== null) return foreign;
  if (reach >= snapshot.end) return null;
  return `the WAL that it needs up to ${formatLsn(snapshot.end)} is missing from ${formatLsn(reach)} on`;
}

function whyNotFor(
  snapshot: SnapshotFacts,
  { target, exclusive }: { target: RecoveryTarget; exclusive: boolean },
  reach: bigint,
): string | null {
  if (target.kind !== 'lsn') return null;
  // Inclusive, a record that begins before the end of the backup may end there; that is seen when the record is looked up.
  if (target.lsn < (exclusive ? snapshot.end : snapshot.start)) {
    return `it is complete only at ${formatLsn(snapshot.end)}, after the target`;
  }
  if (target.lsn > reach) return `its WAL ends without the target, at ${formatLsn(reach)}`;
  return null;
}

/** Every range to which the route can be restored, in rising order; ranges of snapshots that share WAL are one. */
export function reachableRanges(snapshots: readonly SnapshotFacts[], route: WalRoute): ReachableRange[] {
  const ranges: ReachableRange[] = [];
  for (const snapshot of newestFirst(snapshots).reverse()) {
    const to = routeEnd(route, snapshot.start);
    if (whyUnusable(snapshot, route, to) !== null) continue;
    const last = ranges.at(-1);
    if (last === undefined || last.to !== to) ranges.push({ from: snapshot.end, to, snapshot });
  }
  return ranges;
}

function newestFirst(snapshots: readonly SnapshotFacts[]): SnapshotFacts[] {
  return snapshots.toSorted((a, b) => (a.end === b.end ? b.completedAt - a.completedAt : a.end < b.end ? 1 : -1));
}
