import { codeOf } from '../../../lib/index.ts';
import { formatSegmentName } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { IndexPlace } from '../landmarks/index.ts';
import { landmarksObjectName } from '../object-names.ts';
import {
  decodeSegmentChanges,
  encodeSegmentChanges,
  type SegmentChanges,
  uniteSegmentChanges,
} from './segment-changes.ts';

/** So many objects of one level make one of the next. */
export const CHANGES_FAN_OUT = 16n;
/** One object of this level is about 256 segments, 4 GiB of WAL: an hour of a busy server, and not more than a few MB. */
export const CHANGES_LEVEL_MAX = 2;

/** How many segments an object of a level is about. */
export function segmentsOfLevel(level: number): bigint {
  return CHANGES_FAN_OUT ** BigInt(level);
}

export function changesObjectName(place: IndexPlace, first: bigint, level: number): string {
  const name = formatSegmentName(place.timeline, first, place.segmentBytes);
  return landmarksObjectName(place, name, { changes: level });
}

/** The change set that an object has; null when it is not there or cannot be used, as the WAL then tells the same. Errors: those of the store. */
export async function readChanges(
  repository: Repository,
  place: IndexPlace,
  first: bigint,
  level: number,
): Promise<SegmentChanges | null> {
  try {
    const body = await repository.getBody('wal-changes', changesObjectName(place, first, level));
    const changes = decodeSegmentChanges(body);
    const isIt = changes?.first === first && changes.timeline === place.timeline;
    return isIt && BigInt(changes.segments) === segmentsOfLevel(level) ? changes : null;
  } catch (error) {
    if (!WITHOUT_CHANGES_CODES.has(codeOf(error) ?? '')) throw error;
    return null;
  }
}

/** What says that an object cannot be used; anything else is the store's own trouble. */
const WITHOUT_CHANGES_CODES = new Set([
  ...['OBJECT_ABSENT', 'OBJECT_DAMAGED', 'OBJECT_TRUNCATED', 'OBJECT_NEWER'],
  ...['BYTES_TRUNCATED', 'BYTES_TRAILING'],
]);

/** Stores a change set under the level that fits the number of its segments. Errors: those of the store. */
async function putChanges(
  repository: Repository,
  place: IndexPlace,
  level: number,
  changes: SegmentChanges,
): Promise<void> {
  await repository.putBody(
    'wal-changes',
    changesObjectName(place, changes.first, level),
    encodeSegmentChanges(changes),
  );
}

/** Stores the change sets of segments as they become whole, and those of sixteen and more once they are all there. */
export class ChangesKeeper {
  #recent: SegmentChanges[] = [];

  /**
   * Stores the change set of one segment, whose WAL is durable. Whatever the store does not take is derived from the WAL when somebody asks.
   * Errors: STORE_SYNC_FAILED, as only a store that did not make durable what it took must be heard of (rule C1).
   */
  async keep(repository: Repository, place: IndexPlace, collected: Omit<SegmentChanges, 'timeline'>): Promise<void> {
    const changes = { ...collected, timeline: place.timeline };
    const last = this.#recent.at(-1);
    const goesOn = last?.first === changes.first - 1n && last.timeline === changes.timeline;
    this.#recent = goesOn && changes.first % CHANGES_FAN_OUT !== 0n ? [...this.#recent, changes] : [changes];
    try {
      await putChanges(repository, place, 0, changes);
      const end = changes.first + 1n;
      for (let level = 1; level <= CHANGES_LEVEL_MAX && end % segmentsOfLevel(level) === 0n; level++) {
        const group = { level, first: end - segmentsOfLevel(level) };
        if (!(await uniteChanges(repository, place, group, level === 1 ? this.#recent : []))) break;
      }
    } catch (error) {
      if (codeOf(error) === 'STORE_SYNC_FAILED') throw error;
    }
  }
}

/**
 * Puts the change sets of a level's parts together into one object; false when one is missing, and then nothing is stored. `atHand` need not be
 * read. Safe to repeat. Errors: those of the store.
 */
export async function uniteChanges(
  repository: Repository,
  place: IndexPlace,
  { level, first }: { level: number; first: bigint },
  atHand: readonly SegmentChanges[] = [],
): Promise<boolean> {
  const parts: SegmentChanges[] = [];
  const step = segmentsOfLevel(level - 1);
  for (let at = first; at < first + segmentsOfLevel(level); at += step) {
    const part = atHand.find((known) => known.first === at) ?? (await readChanges(repository, place, at, level - 1));
    if (part === null) return false;
    parts.push(part);
  }
  const united = uniteSegmentChanges(parts);
  if (united === null) return false;
  await putChanges(repository, place, level, united);
  return true;
}
