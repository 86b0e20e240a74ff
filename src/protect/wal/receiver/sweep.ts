import { HoldfastError } from '../../../lib/index.ts';
import { formatLsn, formatSegmentName, segmentNumberOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import type { LineageInventory, StoredFragment, TimelineInventory } from '../inventory.ts';
import { clipRange, type LsnRange } from '../lsn-ranges.ts';
import { makeIndex } from '../make-index.ts';
import { fragmentObject, readWalObject, StoredWal, type WalObject } from '../stored-wal.ts';
import { Comparison } from './comparison.ts';
import { deleteFragments, joinSegment } from './join-segment.ts';
import { SegmentChecker } from './segment-checker.ts';

export interface SweepOptions {
  readonly repository: Repository;
  readonly lineage: LineageInventory;
  /** From this position on the stream joins what is not stored whole yet. */
  readonly before: bigint;
  readonly emit: (event: WalEvent) => void;
  readonly signal: AbortSignal;
}

/** So many of the newest segments are looked at for what a crash left out of their index: more are `holdfast wal index`'s. */
const INDEXED_NEWEST = 32;

/**
 * Finishes what receivers before left: fragments whose segment is stored are compared with it and deleted; fragments that make up a whole
 * segment are joined. The tail of a timeline that ended stays in fragments. What is missing of the commit index of the newest segments is made.
 *
 * What cannot be finished is told and left as it is. Errors: those of the store.
 */
export async function sweepFragments(options: SweepOptions): Promise<void> {
  const { lineage, before, signal } = options;
  const size = BigInt(lineage.header.segmentBytes);
  const checker = new SegmentChecker(lineage.header.segmentBytes, lineage.system);
  for (const timeline of lineage.timelines.values()) {
    const groups = Map.groupBy(timeline.fragments, ({ start }) => segmentNumberOf(start, Number(size)));
    for (const [number, fragments] of groups) {
      const bounds = { start: number * size, end: (number + 1n) * size };
      if (signal.aborted) return;
      if (bounds.end > before && !timeline.segments.has(number)) continue;
      await sweepSegment(options, checker, { timeline, number, bounds, fragments }).catch((error: unknown) => {
        const segmentName = formatSegmentName(timeline.timeline, number, Number(size));
        if (!isOfOneSegment(error)) throw error;
        // Another receiver is at the same leftovers, and was faster.
        if (error.code === 'OBJECT_ABSENT') return;
        options.emit({ kind: 'alarm', alarm: 'segment-not-joined', segmentName, error });
      });
    }
  }
  // A segment that cannot be indexed is damaged, which whoever verifies or restores it says.
  await makeIndex({ repository: options.repository, lineage, newest: INDEXED_NEWEST, signal });
}

interface SegmentLeftovers {
  readonly timeline: TimelineInventory;
  readonly number: bigint;
  readonly bounds: LsnRange;
  readonly fragments: readonly StoredFragment[];
}

async function sweepSegment(options: SweepOptions, checker: SegmentChecker, left: SegmentLeftovers): Promise<void> {
  const { repository, lineage, emit } = options;
  const segment = left.timeline.segments.get(left.number);
  if (segment !== undefined) {
    await compareWithSegment(
      options,
      { kind: 'wal-segment', ...left.bounds, objectName: segment.objectName },
      left.fragments,
    );
  } else {
    const held = left.timeline.ranges.some(
      (range) => clipRange(range, left.bounds)?.end === left.bounds.end && range.start <= left.bounds.start,
    );
    if (!held) return;
    const { timeline } = left.timeline;
    const stored = new StoredWal(repository, lineage, [{ timeline, from: 0n, to: null }]);
    const { segmentBytes } = lineage.header;
    const read = () => stored.read(left.bounds.start, left.bounds.end);
    const segmentName = await joinSegment(repository, checker, {
      place: lineage,
      timeline,
      number: left.number,
      segmentBytes,
      read,
    });
    emit({ kind: 'segment-stored', segmentName });
  }
  await deleteFragments(repository, left.fragments);
}

async function compareWithSegment(
  options: SweepOptions,
  segment: WalObject,
  fragments: readonly StoredFragment[],
): Promise<void> {
  const { repository, emit } = options;
  const objects = fragments.map((fragment) => ({ ...fragmentObject(fragment), comparedEnd: fragment.end }));
  // A damaged fragment is no loss when the segment is sound: it goes with the others. One that is gone was deleted by another receiver.
  const comparison = new Comparison(repository, objects, ({ objectName }, error) => {
    if (error.code !== 'OBJECT_ABSENT') emit({ kind: 'alarm', alarm: 'damaged', objectName, error });
  });
  let at = segment.start;
  for await (const piece of readWalObject(repository, segment)) {
    const divergence = await comparison.check(at, piece);
    at += BigInt(piece.length);
    if (divergence === null) continue;
    throw new HoldfastError(
      'WAL_SEGMENT_DIFFERS',
      `cannot delete the fragments of "${segment.objectName}": they differ`,
      {
        detail: `"${divergence.objectName}" has another byte at ${formatLsn(divergence.lsn)}.`,
        hints: ['Both are kept. Run `holdfast wal status` and take a new base backup.'],
      },
    );
  }
}

function isOfOneSegment(error: unknown): error is HoldfastError {
  const codes = ['WAL_SEGMENT_UNSOUND', 'WAL_SEGMENT_DIFFERS', 'OBJECT_DAMAGED', 'OBJECT_TRUNCATED', 'OBJECT_ABSENT'];
  return error instanceof HoldfastError && codes.includes(error.code);
}
