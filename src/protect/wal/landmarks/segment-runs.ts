import type { LineageInventory } from '../inventory.ts';
import { type LineagePlace, parseWalObjectName } from '../object-names.ts';
import { stretchOfSegment, type TimelineStretch } from '../timeline-path.ts';
import type { IndexPlace } from './index-objects.ts';

/** Segments that are stored whole, follow each other and have their index in one place. */
export interface SegmentRun {
  readonly place: IndexPlace;
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * The whole segments that recovery reads on a way through the timelines, in runs, in rising order: of each number that of the newest timeline that
 * has begun by then. A number of which that one is not whole is in no run.
 *
 * Where a route is put together from several lineages, the name of each segment tells in which one it lies.
 */
export function listSegmentRuns(lineage: LineageInventory, path: readonly TimelineStretch[]): SegmentRun[] {
  const { segmentBytes } = lineage.header;
  const runs: SegmentRun[] = [];
  for (const [i, stretch] of path.entries()) {
    const segments = lineage.timelines.get(stretch.timeline)?.segments;
    if (segments === undefined) continue;
    const from = stretch.from / BigInt(segmentBytes);
    const next = path[i + 1];
    const numbers = [...segments.keys()]
      .filter((number) => number >= from && (next === undefined || number * BigInt(segmentBytes) <= next.from))
      .filter((number) => stretchOfSegment(path, number, segmentBytes) === stretch)
      .sort((a, b) => (a < b ? -1 : 1));
    let run: { place: IndexPlace; first: bigint; last: bigint } | null = null;
    for (const number of numbers) {
      const holder = holderOf(segments.get(number)!.objectName);
      if (holder === null) continue;
      if (run !== null && run.last + 1n === number && run.place.lineage === holder.lineage) {
        run.last = number;
        continue;
      }
      run = { place: { ...holder, timeline: stretch.timeline, segmentBytes }, first: number, last: number };
      runs.push(run);
    }
  }
  return runs;
}

function holderOf(objectName: string): LineagePlace | null {
  const name = parseWalObjectName(objectName);
  return name === null ? null : { system: name.system, lineage: name.lineage };
}
