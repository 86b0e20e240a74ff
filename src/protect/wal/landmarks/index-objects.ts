import { formatSegmentName, parseTimelineHistory } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { historyObjectName, type LandmarksPart, type LineagePlace, landmarksObjectName } from '../object-names.ts';
import { stretchOfSegment, timelinePath } from '../timeline-path.ts';
import { decodeBlock, type SegmentBlock, splitBlocks } from './block.ts';
import { decodeSummaries, type LandmarkSummary } from './summary.ts';
import { isWithoutIndex } from './unrecognized.ts';

/** So many parts make one of the next level; 16 levels of segments are more than a lineage ever has. */
export const FAN_OUT = 16n;
/** Sixteen to the fifth power of segments of 16 MiB are 16 TiB of WAL. */
export const LEVEL_MAX = 5;

/** Where the segments of one timeline of a lineage lie. */
export interface IndexPlace extends LineagePlace {
  readonly timeline: number;
  readonly segmentBytes: number;
}

/** The name of the index object that begins with a segment. */
export function indexObjectName(place: IndexPlace, number: bigint, part: LandmarksPart): string {
  return landmarksObjectName(place, formatSegmentName(place.timeline, number, place.segmentBytes), part);
}

/** The encoded blocks of an index object; null when it is not there or cannot be used. Errors: those of the store. */
export function readBlocks(
  repository: Repository,
  place: IndexPlace,
  number: bigint,
  part: 'one' | 'sixteen',
): Promise<Buffer[] | null> {
  return unlessWithoutIndex(async () =>
    splitBlocks(await repository.getBody('wal-landmarks', indexObjectName(place, number, part))),
  );
}

/** The summaries in an index object; null when it is not there or cannot be used. Errors: those of the store. */
export function readSummaries(
  repository: Repository,
  place: IndexPlace,
  number: bigint,
  level: number,
): Promise<LandmarkSummary[] | null> {
  return unlessWithoutIndex(async () =>
    decodeSummaries(await repository.getBody('wal-landmark-summary', indexObjectName(place, number, { level }))),
  );
}

/** The block of one segment, from its own object or from the one of sixteen; null when neither can be used. Errors: those of the store. */
export async function readBlock(
  repository: Repository,
  place: IndexPlace,
  number: bigint,
): Promise<SegmentBlock | null> {
  for (const part of ['one', 'sixteen'] as const) {
    const first = part === 'one' ? number : number - (number % FAN_OUT);
    const blocks = await readBlocks(repository, place, first, part);
    const found = blocks === null ? null : await findBlock(blocks, place, number);
    if (found !== null) return found;
  }
  return null;
}

/**
 * The block of the segment before, on the way to the timeline of `place`; null when it is not there. The timeline's history, which was stored
 * before its WAL, tells whose the segment is.
 */
export async function readBlockBefore(
  repository: Repository,
  place: IndexPlace,
  number: bigint,
): Promise<SegmentBlock | null> {
  if (number === 0n) return null;
  const own = await readBlock(repository, place, number - 1n);
  if (own !== null || place.timeline === 1) return own;
  const name = historyObjectName(place, place.timeline);
  const history = await unlessWithoutIndex(() => repository.getBody('timeline-history', name));
  if (history === null) return null;
  const path = timelinePath(place.timeline, parseTimelineHistory(history.toString('utf8')));
  const { timeline } = stretchOfSegment(path, number - 1n, place.segmentBytes);
  return timeline === place.timeline ? null : readBlock(repository, { ...place, timeline }, number - 1n);
}

/** The block of a segment among those of an object. */
export function findBlock(blocks: readonly Buffer[], place: IndexPlace, number: bigint): Promise<SegmentBlock | null> {
  const bytes = blocks.find((block) => block.length >= 8 && block.readBigUInt64LE(0) === number);
  return bytes === undefined
    ? Promise.resolve(null)
    : unlessWithoutIndex(async () => decodeBlock(bytes, place.segmentBytes));
}

async function unlessWithoutIndex<Value>(read: () => Promise<Value>): Promise<Value | null> {
  try {
    return await read();
  } catch (error) {
    if (!isWithoutIndex(error)) throw error;
    return null;
  }
}
