import type { HoldfastError } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { clipRange, type LsnRange, minLsn } from '../lsn-ranges.ts';
import {
  type ComparedObject,
  Comparison,
  type DivergedPlan,
  type Divergence,
  FORK_PROOF_BYTES,
  storedObjectsFrom,
} from '../receiver/index.ts';
import type { WalObject } from '../stored-wal.ts';
import { newestTimeline, pathInLineage, storedOnPath, type TimelineStretch } from '../timeline-path.ts';
import type { SegmentFile } from './segment-file.ts';

/** How a file stands to one lineage. */
export type SegmentMatch =
  | FittingSegment
  /** Its bytes or its place contradict what is stored. */
  | { readonly kind: 'conflict'; readonly diverged: DivergedPlan }
  /** The lineage knows nothing of its timeline. */
  | { readonly kind: 'elsewhere' };

/** The file contradicts nothing that is stored for its positions. */
export interface FittingSegment {
  readonly kind: 'fits';
  readonly path: readonly TimelineStretch[];
  /** Where the WAL of the file that belongs to this lineage ends. */
  readonly end: bigint;
  /** What of it is stored already, on its own timeline. */
  readonly stored: readonly LsnRange[];
  /** True when it is stored as a whole segment. */
  readonly isStoredWhole: boolean;
  /**
   * `compared`: stored bytes for its positions are equal. `adjoins`: the stored WAL ends where the file begins, so that going on from there has
   * to be proved. `nothing`: nothing of either kind is stored.
   */
  readonly proof: 'compared' | 'adjoins' | 'nothing';
  /** What is missing between the stored WAL and the file. */
  readonly gap: LsnRange | null;
}

/**
 * Holds the bytes of a file up to `end` against everything that a lineage has stored for their positions (rule A4).
 *
 * `isPart` says that WAL behind the position at which the lineage left the timeline is no contradiction, only not wanted: the last file of a
 * timeline holds what came before the promotion, and perhaps more.
 * Errors: OBJECT_ABSENT when an object vanished meanwhile; WAL_HISTORY_ABSENT; WAL_FILE_UNREADABLE; those of the store.
 */
export async function matchSegment(
  repository: Repository,
  lineage: LineageInventory,
  file: SegmentFile,
  options: { end: bigint; isPart: boolean; onDamage: (object: WalObject, error: HoldfastError) => void },
): Promise<SegmentMatch> {
  const path = pathInLineage(lineage, newestTimeline(lineage));
  const stretch = path.find(({ timeline }) => timeline === file.timeline);
  if (stretch === undefined) return { kind: 'elsewhere' };
  const own = { start: file.start, end: minLsn(options.end, stretch.to ?? options.end) };
  const objects = storedObjectsFor(lineage, path, own);
  const compared = await compareFile(repository, objects, file, own.end, options.onDamage);
  if (compared.divergence !== null) return conflict('bytes-differ', file.timeline, provedFork(compared));
  if (own.end < options.end && !options.isPart) return conflict('older-timeline', file.timeline, stretch.to);

  const stored = (lineage.timelines.get(file.timeline)?.ranges ?? []).flatMap((range) => clipRange(range, own) ?? []);
  const before = storedOnPath(lineage, path).findLast((range) => range.start < file.start);
  const adjoins = before !== undefined && before.end >= file.start;
  return {
    kind: 'fits',
    ...{ path, end: own.end, stored },
    isStoredWhole:
      own.end === file.end &&
      lineage.timelines.get(file.timeline)?.segments.has(file.number) === true &&
      compared.damaged === 0,
    proof: compared.bytes > 0n ? 'compared' : adjoins ? 'adjoins' : 'nothing',
    gap: before === undefined || adjoins ? null : { start: before.end, end: file.start },
  };
}

/**
 * Compares the file before, which the server may still have, with what is stored of it. That the WAL goes on with the right record proves little
 * on two idle copies of a server, which write records of the same lengths.
 */
export async function matchPrevious(
  repository: Repository,
  lineage: LineageInventory,
  path: readonly TimelineStretch[],
  previous: SegmentFile,
): Promise<SegmentMatch | null> {
  const objects = storedObjectsFor(lineage, path, { start: previous.start, end: previous.end });
  const compared = await compareFile(repository, objects, previous, previous.end, () => {});
  return compared.divergence === null ? null : conflict('bytes-differ', previous.timeline, provedFork(compared));
}

/** Everything stored on the way with bytes in the range; of each, the part that is on the way and in the range. */
function storedObjectsFor(
  lineage: LineageInventory,
  path: readonly TimelineStretch[],
  range: LsnRange,
): ComparedObject[] {
  return storedObjectsFrom(lineage, path, range.start).flatMap((object) =>
    object.start >= range.end ? [] : [{ ...object, comparedEnd: minLsn(object.comparedEnd, range.end) }],
  );
}

interface FileComparison {
  readonly divergence: Divergence | null;
  readonly bytes: bigint;
  readonly damaged: number;
}

async function compareFile(
  repository: Repository,
  objects: readonly ComparedObject[],
  file: SegmentFile,
  end: bigint,
  onDamage: (object: WalObject, error: HoldfastError) => void,
): Promise<FileComparison> {
  let damaged = 0;
  const comparison = new Comparison(repository, objects, (object, error) => {
    // Another writer has joined it: the caller lists again.
    if (error.code === 'OBJECT_ABSENT') throw error;
    damaged += 1;
    onDamage(object, error);
  });
  let at = file.start;
  if (objects.length > 0) {
    for await (const piece of file.read(Number(end - file.start))) {
      const divergence = await comparison.check(at, piece);
      if (divergence !== null) return { divergence, bytes: comparison.comparedBytes, damaged };
      at += BigInt(piece.length);
    }
  }
  return { divergence: null, bytes: comparison.comparedBytes, damaged };
}

/** A page of equal bytes before the difference proves that the histories part there and not earlier. */
function provedFork({ divergence, bytes }: FileComparison): bigint | null {
  return bytes >= FORK_PROOF_BYTES ? divergence!.lsn : null;
}

function conflict(reason: DivergedPlan['reason'], forkTimeline: number, forkLsn: bigint | null): SegmentMatch {
  return { kind: 'conflict', diverged: { kind: 'diverged', reason, forkTimeline, forkLsn } };
}
