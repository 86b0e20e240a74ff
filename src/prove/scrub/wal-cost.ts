import { HoldfastError } from '../../lib/index.ts';
import { parseLsn, segmentStartOf, timestampToMilliseconds } from '../../postgres/index.ts';
import {
  contiguousEnd,
  findLineage,
  LandmarkReader,
  type LsnRange,
  pathInLineage,
  type WalInventory,
} from '../../protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../../repository/index.ts';
import type { WalCost } from './verdict.ts';
import { type PlacedWal, whyWalIncomplete } from './wal-check.ts';

/** So many segments before a loss are searched for the last commit: an idle server may write none for long. */
const segmentsSearchedMax = 32n;

/** What the loss of WAL is judged by. */
export interface WalSurroundings {
  readonly repository: Repository;
  /** Without what is damaged. */
  readonly sound: WalInventory;
  /** Every committed snapshot. */
  readonly snapshots: readonly SnapshotRecord[];
}

/**
 * What a lost stretch of WAL costs (rule D5): positions from its start to the end of the next snapshot that was begun behind it. Times are those of
 * commits beside it, by the commit index, and by the WAL that is left where that has none. Errors: those of the store.
 */
export async function costOfWal(around: WalSurroundings, object: PlacedWal, lost: LsnRange): Promise<WalCost> {
  const { lineage, timeline } = object;
  const own = around.snapshots.filter(({ wal }) => wal.lineage === lineage.lineage);
  const next = own
    .filter((snapshot) => isBehind(object, lost, snapshot) && whyWalIncomplete(around.sound, snapshot) === null)
    .sort((a, b) => compare(parseLsn(a.wal.start), parseLsn(b.wal.start)))[0];
  return {
    system: lineage.system,
    lineage: lineage.lineage,
    cluster: lineage.header.cluster,
    timeline,
    lostStart: lost.start,
    lostEnd: lost.end,
    from: lost.start,
    to: next === undefined ? null : parseLsn(next.wal.end),
    fromTime: await timeBefore(around, object, lost.start, own),
    toTime: next === undefined ? null : await timeOfEnd(around, next),
  };
}

/** Snapshots that cannot be restored at all, as a stretch of their own WAL is lost. */
export function harmedByLoss(
  snapshots: readonly SnapshotRecord[],
  object: PlacedWal,
  lost: readonly LsnRange[],
): SnapshotRecord[] {
  return snapshots.filter(({ wal }) => {
    if (wal.lineage !== object.lineage.lineage || wal.timeline !== object.timeline) return false;
    const [start, end] = [parseLsn(wal.start), parseLsn(wal.end)];
    return lost.some((range) => range.start < end && range.end > start);
  });
}

/** Whether a snapshot was begun behind the loss, on the same way. */
function isBehind({ lineage, timeline }: PlacedWal, lost: LsnRange, { wal }: SnapshotRecord): boolean {
  if (parseLsn(wal.start) < lost.end) return false;
  if (wal.timeline === timeline) return true;
  if (wal.timeline !== 1 && !lineage.histories.has(wal.timeline)) return false;
  const stretch = pathInLineage(lineage, wal.timeline).find((each) => each.timeline === timeline);
  return stretch?.to !== undefined && stretch.to !== null && stretch.to >= lost.end;
}

/** When the last transaction before a position ended: what can be restored at most without what follows. */
async function timeBefore(
  around: WalSurroundings,
  { lineage, timeline }: PlacedWal,
  lsn: bigint,
  own: readonly SnapshotRecord[],
): Promise<number | null> {
  const { segmentBytes } = lineage.header;
  let to = lsn;
  for (let searched = 0n; searched < segmentsSearchedMax && to > 0n; searched++) {
    const from = segmentStartOf(to - 1n, segmentBytes);
    const last = await lastTransaction(around, { lineage: lineage.lineage, timeline, from, to });
    if (last !== null) return last;
    to = from;
  }
  const ended = own.filter(({ wal }) => parseLsn(wal.end) <= lsn).map(({ completedAt }) => Date.parse(completedAt));
  return ended.length === 0 ? null : Math.max(...ended);
}

async function timeOfEnd(around: WalSurroundings, { wal, completedAt }: SnapshotRecord): Promise<number> {
  const { lineage, timeline } = wal;
  const range = { lineage, timeline, from: parseLsn(wal.start), to: parseLsn(wal.end) };
  return (await lastTransaction(around, range)) ?? Date.parse(completedAt);
}

/** When the last transaction in a range ended, in milliseconds since 1970; `null` when none did, or the WAL there cannot be read. */
async function lastTransaction(
  { repository, sound }: WalSurroundings,
  range: { lineage: string; timeline: number; from: bigint; to: bigint },
): Promise<number | null> {
  let last: number | null = null;
  try {
    findLineage(sound, range.lineage);
    if (contiguousEnd(sound, range.lineage, range.timeline, range.from) <= range.from) return null;
    const reader = new LandmarkReader(repository, sound, range);
    for await (const landmark of reader.read(range)) {
      if (landmark.kind === 'transaction') last = timestampToMilliseconds(landmark.transaction.at);
    }
  } catch (error) {
    // Beside one damage there may be another: then the time is not known, which is no reason to say nothing about the rest.
    if (!(error instanceof HoldfastError) || error.retryable) throw error;
  }
  return last;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
