import { formatDuration, formatMoment, formatQuantity, HoldfastError } from '../../lib/index.ts';
import { formatLsn, parseLsn, segmentStartOf, timestampToMilliseconds } from '../../postgres/index.ts';
import type { Repository, SnapshotRecord } from '../../repository/index.ts';
import { contiguousEndIn } from './continuity.ts';
import { findLineage, type LineageInventory, readWalInventory, type WalInventory } from './inventory.ts';
import { LandmarkReader } from './landmarks/index.ts';
import { compareLsn, type LsnRange, maxLsn } from './lsn-ranges.ts';
import type { LineagePlace } from './object-names.ts';
import { newestTimeline } from './timeline-path.ts';

/** So many segments before a gap are searched for the last commit: an idle server may write none for long. */
const SEGMENTS_SEARCHED_MAX = 32n;

/** What a hole in the WAL of a lineage costs (rule D5). Times in milliseconds since 1970. */
export interface GapCost {
  readonly gap: LsnRange;
  /** Snapshots that cannot be restored at all, as a part of their own WAL is missing. */
  readonly snapshots: readonly string[];
  /** Where moments can be restored again: the end of the next snapshot begun behind it; `null` while there is none. */
  readonly restorableFrom: bigint | null;
  /** The last commit before it, and the moment from which on one can restore again; `null` when that is not known. */
  readonly fromTime: number | null;
  readonly toTime: number | null;
}

/** Says what a hole costs, by the snapshots of the repository. Errors: those of the store. */
export async function costOfGap(
  repository: Repository,
  inventory: WalInventory,
  lineage: LineageInventory,
  gap: LsnRange,
  snapshots: readonly SnapshotRecord[],
): Promise<GapCost> {
  const own = snapshots.filter(({ wal }) => wal.lineage === lineage.lineage);
  const ranges = own.map((snapshot) => {
    const [start, end] = [parseLsn(snapshot.wal.start), parseLsn(snapshot.wal.end)];
    return { snapshot, start, end };
  });
  const harmed = ranges.filter(({ start, end }) => start < gap.end && end > gap.start);
  const [next] = ranges.filter(({ start }) => start >= gap.end).sort((a, b) => compareLsn(a.start, b.start));
  return {
    gap,
    snapshots: harmed.map(({ snapshot }) => snapshot.id),
    restorableFrom: next?.end ?? null,
    fromTime: await timeBefore(repository, inventory, lineage, gap.start),
    toTime: next === undefined ? null : Date.parse(next.snapshot.completedAt),
  };
}

/**
 * One sentence on what a gap costs by what is stored now, for an alarm; `null` when the store does not say it: the alarm is not to wait for it.
 */
export async function describeGapNow(
  repository: Repository,
  { system, lineage }: LineagePlace,
  gap: LsnRange,
): Promise<string | null> {
  try {
    const inventory = await readWalInventory(repository, system);
    const { snapshots } = await repository.listSnapshots();
    const cost = await costOfGap(repository, inventory, findLineage(inventory, lineage), gap, snapshots);
    return describeGapCost(cost, await repository.store.now());
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return null;
  }
}

/** One sentence for people. `now` in milliseconds since 1970. */
export function describeGapCost({ snapshots, restorableFrom, fromTime, toTime }: GapCost, now: number): string {
  const since = fromTime === null ? 'its start' : formatMoment(fromTime);
  const lasting = (until: number) =>
    fromTime === null || until < fromTime ? '' : ` (${formatDuration(until - fromTime)})`;
  const moments =
    restorableFrom === null
      ? `No moment after ${since} can be restored${lasting(now)}, until a new base backup is complete.`
      : `No moment after ${since} and before ${toTime === null ? formatLsn(restorableFrom) : `${formatMoment(toTime)}${lasting(toTime)}`} can be restored.`;
  if (snapshots.length === 0) return moments;
  const ids = snapshots.map((id) => id.slice(0, 12)).join(', ');
  return `${moments} ${formatQuantity(snapshots.length, 'snapshot')} cannot be restored at all: ${ids}.`;
}

/** When the last transaction before a position ended. */
async function timeBefore(
  repository: Repository,
  inventory: WalInventory,
  lineage: LineageInventory,
  lsn: bigint,
): Promise<number | null> {
  const timeline = newestTimeline(lineage);
  const { segmentBytes } = lineage.header;
  const lowest = maxLsn(0n, lsn - SEGMENTS_SEARCHED_MAX * BigInt(segmentBytes));
  try {
    const reader = new LandmarkReader(repository, inventory, { lineage: lineage.lineage, timeline });
    for (let to = lsn; to > lowest; to = segmentStartOf(to - 1n, segmentBytes)) {
      const from = segmentStartOf(to - 1n, segmentBytes);
      if (contiguousEndIn(lineage, timeline, from) <= from) return null;
      let last: number | null = null;
      for await (const landmark of reader.read({ from, to })) {
        if (landmark.kind === 'transaction') last = timestampToMilliseconds(landmark.transaction.at);
      }
      if (last !== null) return last;
    }
  } catch (error) {
    // Beside a gap there may be damage: then the time is not known, which is no reason to say nothing about the rest.
    if (!(error instanceof HoldfastError) || error.retryable) throw error;
  }
  return null;
}
