import { HoldfastError } from '../../lib/index.ts';
import { formatHistoryName, segmentNumberOf, segmentStartOf, type TimelineSwitch } from '../../postgres/index.ts';
import type { LineageInventory } from './inventory.ts';
import { clipRange, type LsnRange, mergeRanges } from './lsn-ranges.ts';

/** The stretch of one timeline on the way to another: WAL from `from` up to `to` is this timeline's. */
export interface TimelineStretch {
  readonly timeline: number;
  readonly from: bigint;
  /** `null` on the last one: it goes on. */
  readonly to: bigint | null;
}

/** The way through the timelines that ends with `timeline`, oldest first, from the switches that its history file lists. */
export function timelinePath(timeline: number, switches: readonly TimelineSwitch[]): TimelineStretch[] {
  const path: TimelineStretch[] = [];
  let from = 0n;
  for (const entry of switches) {
    // A timeline that was left before it was reached has no WAL on this way.
    if (entry.switchLsn > from || path.length === 0) path.push({ timeline: entry.timeline, from, to: entry.switchLsn });
    from = entry.switchLsn;
  }
  path.push({ timeline, from, to: null });
  return path;
}

/**
 * The way to a timeline of a lineage. Timeline 1 has no history file; every other one stored its own before its WAL.
 * Errors: WAL_HISTORY_ABSENT.
 */
export function pathInLineage(lineage: LineageInventory, timeline: number): TimelineStretch[] {
  const switches = timeline === 1 ? [] : lineage.histories.get(timeline);
  if (switches !== undefined) return timelinePath(timeline, switches);
  throw new HoldfastError('WAL_HISTORY_ABSENT', `cannot follow timeline ${timeline}: its history is not stored`, {
    detail: `Expected "${formatHistoryName(timeline)}" in lineage "${lineage.lineage}".`,
    hints: ['Run `holdfast wal status` to see which timelines are stored and what is damaged.'],
  });
}

/** The highest timeline of which the lineage has WAL or a history, its first one when it has neither. */
export function newestTimeline(lineage: LineageInventory): number {
  return Math.max(lineage.header.startTimeline, ...lineage.timelines.keys(), ...lineage.histories.keys());
}

/** The stretch that holds the byte at `lsn`; at a switch, that is the newer one. */
export function stretchAt(path: readonly TimelineStretch[], lsn: bigint): TimelineStretch {
  return path.findLast((stretch) => stretch.from <= lsn) ?? path[0]!;
}

/**
 * The stretch under whose timeline PostgreSQL looks for a segment: the newest that has begun in it or before, as the segment in which a
 * timeline begins is kept under the new timeline's name, with the old one's bytes before the switch (rule A6).
 */
export function stretchOfSegment(
  path: readonly TimelineStretch[],
  number: bigint,
  segmentBytes: number,
): TimelineStretch {
  return path.findLast((stretch) => segmentNumberOf(stretch.from, segmentBytes) <= number) ?? path[0]!;
}

/** A stretch with what is stored of its timeline, as far as those bytes are on the way. */
export interface StoredStretch extends TimelineStretch {
  readonly ranges: readonly LsnRange[];
}

const LSN_MAX = 1n << 64n;

/**
 * What is stored of each stretch. A timeline's objects count from the start of the segment in which it begins, as they hold its
 * parent's bytes there.
 */
export function storedStretches(lineage: LineageInventory, path: readonly TimelineStretch[]): StoredStretch[] {
  return path.map((stretch) => {
    const bounds = { start: segmentStartOf(stretch.from, lineage.header.segmentBytes), end: stretch.to ?? LSN_MAX };
    const stored = lineage.timelines.get(stretch.timeline)?.ranges ?? [];
    return { ...stretch, ranges: stored.flatMap((range) => clipRange(range, bounds) ?? []) };
  });
}

/** All WAL on the way that is stored. */
export function storedOnPath(lineage: LineageInventory, path: readonly TimelineStretch[]): LsnRange[] {
  return mergeRanges(storedStretches(lineage, path).flatMap((stretch) => stretch.ranges));
}
