import { HoldfastError } from '../../lib/index.ts';
import { formatLsn, parseLsn, parseSegmentName } from '../../postgres/index.ts';
import {
  contiguousEnd,
  fragmentObject,
  type LineageInventory,
  type LsnRange,
  lineagePrefix,
  makeTimelineInventory,
  readWalObject,
  segmentObjectName,
  type TimelineInventory,
  type WalInventory,
  type WalObject,
} from '../../protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../../repository/index.ts';
import { readCarefully, sentenceOf } from './read-carefully.ts';
import type { UnreadableObject } from './verdict.ts';

/** Objects under work at once: enough that a store's delay does not count. */
const laneCount = 4;

/** Counts bytes as they are read. */
export interface ReadCount {
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** An object with WAL, and whose it is. */
export interface PlacedWal extends WalObject {
  readonly lineage: LineageInventory;
  readonly timeline: number;
}

/** An object under `wal/` that is not what was stored. */
export interface WalFinding {
  readonly object: string;
  readonly sentence: string;
}

/** What came of reading WAL. */
export interface WalCheck {
  readonly objects: number;
  readonly findings: readonly WalFinding[];
  readonly denied: readonly UnreadableObject[];
  /** Those of them with their places. */
  readonly unread: readonly PlacedWal[];
  readonly flaky: readonly string[];
  /** The damaged objects, and the inventory without them. */
  readonly lost: readonly PlacedWal[];
  readonly sound: WalInventory;
}

/** Every segment and fragment that is stored. */
export function* listWalObjects(inventory: WalInventory): Generator<PlacedWal, void> {
  for (const lineage of inventory.lineages) {
    const size = BigInt(lineage.header.segmentBytes);
    for (const { timeline, segments, fragments } of lineage.timelines.values()) {
      const place = { lineage, timeline };
      for (const { number, objectName, size: bytes } of segments.values()) {
        yield {
          kind: 'wal-segment',
          objectName,
          size: bytes,
          start: number * size,
          end: (number + 1n) * size,
          ...place,
        };
      }
      for (const fragment of fragments) yield { ...fragmentObject(fragment), ...place };
    }
  }
}

/**
 * Whole segments that the commit index knows and that are not there in any form: it is written after the segment. What lies before the first WAL of its
 * timeline may have been deleted with intent, and is not told. Errors: those of the store.
 */
export async function findGoneSegments(repository: Repository, inventory: WalInventory): Promise<PlacedWal[]> {
  const gone: PlacedWal[] = [];
  for (const lineage of inventory.lineages) {
    const { segmentBytes } = lineage.header;
    const place = lineagePrefix(lineage);
    for await (const { name } of repository.store.list(`${place}landmarks/`)) {
      const segmentName = /\/([0-9A-F]{24})$/.exec(name)?.[1];
      if (segmentName === undefined) continue;
      const { timeline, startLsn: start } = parseSegmentName(segmentName, segmentBytes);
      const end = start + BigInt(segmentBytes);
      const ranges = lineage.timelines.get(timeline)?.ranges ?? [];
      const isHeld = ranges.some((range) => range.start < end && range.end > start);
      if (isHeld || ranges[0] === undefined || ranges[0].start > start) continue;
      gone.push({
        kind: 'wal-segment',
        objectName: segmentObjectName(lineage, segmentName),
        start,
        end,
        lineage,
        timeline,
      });
    }
  }
  return gone;
}

/** Whether an object holds WAL without which a snapshot cannot be restored (rule A13). */
export function isNeededBy({ wal }: SnapshotRecord, object: PlacedWal): boolean {
  const isThere = object.lineage.lineage === wal.lineage && object.timeline === wal.timeline;
  return isThere && object.start < parseLsn(wal.end) && object.end > parseLsn(wal.start);
}

/** Reads segments and fragments to their end, each once, whoever needs it. Errors: those of the store; the signal's reason. */
export async function checkWal(
  repository: Repository,
  inventory: WalInventory,
  objects: Iterable<PlacedWal>,
  count: ReadCount,
): Promise<WalCheck> {
  const findings: WalFinding[] = [];
  const denied: UnreadableObject[] = [];
  const flaky: string[] = [];
  const lost: PlacedWal[] = [];
  const unread: PlacedWal[] = [];
  let checked = 0;
  const queue = objects[Symbol.iterator]();
  let failed = false;
  const runLane = async () => {
    for (let next = queue.next(); !next.done && !failed; next = queue.next()) {
      const object = next.value;
      const reading = await readCarefully(repository, () => readWhole(repository, object, count)).catch((error) => {
        failed = true;
        throw error;
      });
      checked += 1;
      if (reading.kind === 'read' && reading.flaky) flaky.push(object.objectName);
      if (reading.kind === 'denied') {
        unread.push(object);
        denied.push({ object: object.objectName, sentence: sentenceOf(reading.error) });
      }
      if (reading.kind !== 'damaged') continue;
      // A receiver may have joined a fragment into its segment since the listing.
      if (reading.error.code === 'OBJECT_ABSENT' && object.kind === 'wal-fragment') continue;
      lost.push(object);
      findings.push({ object: object.objectName, sentence: sentenceOf(reading.error) });
    }
  };
  await Promise.all(Array.from({ length: laneCount }, runLane));
  return { objects: checked, findings, denied, unread, flaky, lost, sound: withoutObjects(inventory, lost) };
}

/** Says why the WAL that a snapshot needs is not all there, from its start to its end on its own timeline; `null` when it is. */
export function whyWalIncomplete(sound: WalInventory, { wal }: SnapshotRecord): string | null {
  const [start, end] = [parseLsn(wal.start), parseLsn(wal.end)];
  try {
    const reach = contiguousEnd(sound, wal.lineage, wal.timeline, start);
    if (reach >= end) return null;
    return `It needs WAL from ${wal.start} to ${wal.end}, and what is stored and sound ends at ${formatLsn(reach)}.`;
  } catch (error) {
    if (!(error instanceof HoldfastError) || !walCodes.has(error.code)) throw error;
    return `Its WAL cannot be read: ${sentenceOf(error)}`;
  }
}

/** What keeps a snapshot's WAL from being used; anything else is the store's own trouble. */
const walCodes = new Set(['WAL_LINEAGE_ABSENT', 'WAL_HISTORY_ABSENT']);

/** The stretches of a damaged object that no sound one of its timeline holds. */
export function lostRanges(sound: WalInventory, object: PlacedWal): LsnRange[] {
  const lineage = sound.lineages.find((each) => each.lineage === object.lineage.lineage);
  const stored = lineage?.timelines.get(object.timeline)?.ranges ?? [];
  const ranges: LsnRange[] = [];
  let at = object.start;
  for (const { start, end } of stored) {
    if (end <= at) continue;
    if (start >= object.end) break;
    if (start > at) ranges.push({ start: at, end: start });
    at = end;
  }
  if (at < object.end) ranges.push({ start: at, end: object.end });
  return ranges;
}

async function readWhole(repository: Repository, object: WalObject, count: ReadCount): Promise<void> {
  for await (const piece of readWalObject(repository, object)) {
    count.signal?.throwIfAborted();
    count.onBytes(piece.length);
  }
}

/** The inventory as if these objects were not there. */
export function withoutObjects(inventory: WalInventory, lost: readonly PlacedWal[]): WalInventory {
  if (lost.length === 0) return inventory;
  const names = new Set(lost.map(({ objectName }) => objectName));
  const lineages = inventory.lineages.map((lineage): LineageInventory => {
    const { segmentBytes } = lineage.header;
    const timelines = new Map<number, TimelineInventory>();
    for (const { timeline, segments, fragments } of lineage.timelines.values()) {
      const soundSegments = new Map([...segments].filter(([, { objectName }]) => !names.has(objectName)));
      const soundFragments = fragments.filter(({ objectName }) => !names.has(objectName));
      timelines.set(timeline, makeTimelineInventory(timeline, segmentBytes, soundSegments, soundFragments));
    }
    return { ...lineage, timelines };
  });
  return { ...inventory, lineages };
}
