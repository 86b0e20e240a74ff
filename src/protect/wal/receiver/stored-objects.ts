import { segmentStartOf } from '../../../postgres/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { clipRange } from '../lsn-ranges.ts';
import { fragmentObject, type WalObject } from '../stored-wal.ts';
import type { TimelineStretch } from '../timeline-path.ts';
import type { ComparedObject } from './comparison.ts';

const LSN_MAX = 1n << 64n;

/** Every stored object with bytes at or behind `from` that are on the way: what the server sends there must equal them. */
export function storedObjectsFrom(
  lineage: LineageInventory,
  path: readonly TimelineStretch[],
  from: bigint,
): ComparedObject[] {
  const { segmentBytes } = lineage.header;
  return path.flatMap((stretch) => {
    const bounds = { start: segmentStartOf(stretch.from, segmentBytes), end: stretch.to ?? LSN_MAX };
    const stored = lineage.timelines.get(stretch.timeline);
    if (stored === undefined || bounds.end <= from) return [];
    const segments = [...stored.segments.values()].map(({ number, objectName }): WalObject => {
      const start = number * BigInt(segmentBytes);
      return { kind: 'wal-segment', start, end: start + BigInt(segmentBytes), objectName };
    });
    return [...segments, ...stored.fragments.map(fragmentObject)].flatMap((object) => {
      const part = clipRange(object, bounds);
      return part === null || part.end <= from ? [] : [{ ...object, comparedEnd: part.end }];
    });
  });
}
