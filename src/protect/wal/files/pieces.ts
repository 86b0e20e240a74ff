import { type LineageInventory, makeTimelineInventory, type WalInventory } from '../inventory.ts';
import { type LsnRange, minLsn } from '../lsn-ranges.ts';
import { FRAGMENT_BYTES_MAX, segmentObjectName } from '../object-names.ts';
import type { SegmentFile } from './segment-file.ts';

const FRAGMENT_BYTES = BigInt(FRAGMENT_BYTES_MAX);

/** Parts of a range, each as long as a fragment may be. */
export function cutFragments({ start, end }: LsnRange): LsnRange[] {
  const parts: LsnRange[] = [];
  for (let at = start; at < end; at += FRAGMENT_BYTES) parts.push({ start: at, end: minLsn(end, at + FRAGMENT_BYTES) });
  return parts;
}

/** The inventory with one more segment and without its fragments, so that a store with a long past is not listed again for each file. */
export function withSegment(inventory: WalInventory, { lineage }: LineageInventory, file: SegmentFile): WalInventory {
  const lineages = inventory.lineages.map((each) => {
    if (each.lineage !== lineage) return each;
    const held = each.timelines.get(file.timeline);
    const objectName = segmentObjectName(each, file.name);
    const segments = new Map(held?.segments).set(file.number, { number: file.number, name: file.name, objectName });
    const fragments = (held?.fragments ?? []).filter(({ start, end }) => start < file.start || end > file.end);
    const timeline = makeTimelineInventory(file.timeline, file.segmentBytes, segments, fragments);
    return { ...each, timelines: new Map(each.timelines).set(file.timeline, timeline) };
  });
  return { ...inventory, lineages };
}

/** The objects that hold a part of a file already. */
export function objectsOf(lineage: LineageInventory, file: SegmentFile, range: LsnRange): string[] {
  const held = lineage.timelines.get(file.timeline);
  const segment = held?.segments.get(file.number);
  if (segment !== undefined) return [segment.objectName];
  return (held?.fragments ?? [])
    .filter((each) => each.start < range.end && each.end > range.start)
    .map(({ objectName }) => objectName);
}

/** The bytes of a range, which lies in the file. */
export async function cutBytes(file: SegmentFile, range: LsnRange): Promise<Buffer> {
  const [from, to] = [Number(range.start - file.start), Number(range.end - file.start)];
  const pieces: Buffer[] = [];
  let at = 0;
  for await (const piece of file.read(to)) {
    if (at + piece.length > from) pieces.push(piece.subarray(Math.max(0, from - at)));
    at += piece.length;
  }
  return Buffer.concat(pieces);
}
