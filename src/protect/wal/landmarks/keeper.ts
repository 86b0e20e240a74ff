import { codeOf } from '../../../lib/index.ts';
import { formatSegmentName, parseSegmentName } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { segmentObjectName } from '../object-names.ts';
import { encodeBlock, encodeBlocks } from './block.ts';
import type { CollectedBlock } from './collector.ts';
import {
  FAN_OUT,
  findBlock,
  type IndexPlace,
  indexObjectName,
  LEVEL_MAX,
  readBlocks,
  readSummaries,
} from './index-objects.ts';
import { encodeSummaries, type LandmarkSummary, mergeSummaries, summarizeBlock } from './summary.ts';

/** What could not be stored is tried again with the next segment; more than so many are left to whoever makes the index anew. */
const WAITING_MAX = 64;

/** A segment's name ends in so many digits that are not its timeline's. */
const SEGMENT_DIGITS_OF_NUMBER = 16;

/**
 * Stores the index of segments as they become whole, and rolls it up: sixteen segments into one object with the same landmarks, and into one
 * with their summaries; sixteen of those into one of the next level, and so on.
 *
 * It never fails for what the index is to blame for: WAL that is stored is stored, and what is missing of its index is made later. Only a store
 * that did not make durable what it took must be heard of (rule C1).
 */
export class LandmarkKeeper {
  /** Blocks of the group that is being filled, so that they need not be read again. */
  #recent = new Map<string, StoredBlock>();
  #waiting: { readonly place: IndexPlace; readonly block: CollectedBlock }[] = [];

  /** Stores the index of one segment, whose WAL is durable. Errors: STORE_SYNC_FAILED. */
  async keep(repository: Repository, place: IndexPlace, block: CollectedBlock): Promise<void> {
    this.#waiting = [...this.#waiting, { place, block }].slice(-WAITING_MAX);
    try {
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        await this.#store(repository, next.place, next.block);
        this.#waiting.shift();
      }
    } catch (error) {
      // Any other trouble of the store shows when the next WAL is stored, and costs no more than reading some WAL.
      if (codeOf(error) === 'STORE_SYNC_FAILED') throw error;
    }
  }

  async #store(repository: Repository, place: IndexPlace, block: CollectedBlock): Promise<void> {
    const { number } = block;
    const stored = await putBlock(repository, place, block);
    const name = (of: bigint) => indexObjectName(place, of, 'one');
    if (number % FAN_OUT === 0n) this.#recent = new Map();
    this.#recent.set(name(number), stored);
    if ((number + 1n) % FAN_OUT !== 0n) return;
    await rollUp(repository, place, number + 1n - FAN_OUT, (of) => this.#recent.get(name(of)) ?? null);
    this.#recent = new Map();
  }
}

/** A block as it is stored, and its summary. */
interface StoredBlock {
  readonly encoded: Buffer;
  readonly summary: LandmarkSummary;
}

/** Stores the block of one segment. Errors: those of the store. */
export async function putBlock(repository: Repository, place: IndexPlace, block: CollectedBlock): Promise<StoredBlock> {
  const encoded = encodeBlock({ ...block, timeline: place.timeline });
  await repository.putBody('wal-landmarks', indexObjectName(place, block.number, 'one'), encodeBlocks([encoded]));
  return { encoded, summary: block.summary };
}

async function readStored(repository: Repository, place: IndexPlace, number: bigint): Promise<StoredBlock | null> {
  const [encoded] = (await readBlocks(repository, place, number, 'one')) ?? [];
  const block = encoded === undefined ? null : await findBlock([encoded], place, number);
  return encoded === undefined || block === null ? null : { encoded, summary: summarizeBlock(block) };
}

/**
 * Rolls up the sixteen segments from `first` on, and every level above that is thereby filled. A group of which the index of a stored segment is
 * missing is left for later. Safe to repeat.
 *
 * Errors: those of the store.
 */
export async function rollUp(
  repository: Repository,
  place: IndexPlace,
  first: bigint,
  atHand: (number: bigint) => StoredBlock | null = () => null,
): Promise<void> {
  const encoded: Buffer[] = [];
  const summaries: LandmarkSummary[] = [];
  for (let number = first; number < first + FAN_OUT; number++) {
    const stored = atHand(number) ?? (await readStored(repository, place, number));
    if (stored !== null) {
      encoded.push(stored.encoded);
      summaries.push(stored.summary);
    } else if (await isStored(repository, place, number)) return;
  }
  if (encoded.length === 0) return;
  await repository.putBody('wal-landmarks', indexObjectName(place, first, 'sixteen'), encodeBlocks(encoded));
  await putSummaries(repository, place, { first, level: 1, summaries });
  await rollUpLevels(repository, place, first);
}

/** Fills the levels above the first, as far as the group that begins with `first` is the last of its parent's. */
async function rollUpLevels(repository: Repository, place: IndexPlace, first: bigint): Promise<void> {
  const end = first + FAN_OUT;
  for (let level = 2; level <= LEVEL_MAX; level++) {
    const segments = FAN_OUT ** BigInt(level);
    if (end % segments !== 0n) return;
    await rollUpLevel(repository, place, { level, start: end - segments });
  }
}

/**
 * Puts the summaries of sixteen groups into one object of the next level. A group that leaves out some of its segments has no summary that one
 * could pass over it by: the one in which the timeline begins is left out, and any other one is waited for.
 *
 * Errors: those of the store.
 */
export async function rollUpLevel(
  repository: Repository,
  place: IndexPlace,
  { level, start }: { level: number; start: bigint },
): Promise<void> {
  const childSegments = FAN_OUT ** BigInt(level - 1);
  const summaries: LandmarkSummary[] = [];
  for (let child = start; child < start + childSegments * FAN_OUT; child += childSegments) {
    const parts = await readSummaries(repository, place, child, level - 1);
    const merged = parts === null ? null : mergeAll(parts);
    if (merged !== null && BigInt(merged.segments) === childSegments) summaries.push(merged);
    else if (child > (await firstStored(repository, place))) return;
  }
  if (summaries.length > 0) await putSummaries(repository, place, { first: start, level, summaries });
}

/** The number of the first whole segment of the timeline that is stored. */
async function firstStored(repository: Repository, place: IndexPlace): Promise<bigint> {
  const name = segmentObjectName(place, formatSegmentName(place.timeline, 0n, place.segmentBytes));
  const ofTimeline = name.slice(0, -SEGMENT_DIGITS_OF_NUMBER);
  for await (const entry of repository.store.list(ofTimeline)) {
    return parseSegmentName(entry.name.slice(entry.name.lastIndexOf('/') + 1), place.segmentBytes).number;
  }
  return 0n;
}

function mergeAll(parts: readonly LandmarkSummary[]): LandmarkSummary | null {
  const [first, ...others] = parts;
  return first === undefined ? null : mergeSummaries([first, ...others]);
}

async function putSummaries(
  repository: Repository,
  place: IndexPlace,
  group: { first: bigint; level: number; summaries: readonly LandmarkSummary[] },
): Promise<void> {
  const name = indexObjectName(place, group.first, { level: group.level });
  await repository.putBody('wal-landmark-summary', name, encodeSummaries(group.level, group.summaries));
}

async function isStored(repository: Repository, place: IndexPlace, number: bigint): Promise<boolean> {
  const name = segmentObjectName(place, formatSegmentName(place.timeline, number, place.segmentBytes));
  return (await repository.store.stat(name)) !== null;
}
