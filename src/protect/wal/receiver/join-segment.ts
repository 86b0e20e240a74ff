import { codeOf, giveBack, HoldfastError, inLanes } from '../../../lib/index.ts';
import { formatLsn, formatSegmentName, type WalStop } from '../../../postgres/index.ts';
import {
  type BodyStream,
  type BodyThread,
  damagedObject,
  getBodyStream,
  putBodyStream,
  type Repository,
  type StreamPut,
  type ThreadPut,
} from '../../../repository/index.ts';
import type { StoredFragment } from '../inventory.ts';
import { readBlockBefore } from '../landmarks/index.ts';
import { type LineagePlace, segmentObjectName } from '../object-names.ts';
import { replaceSegment } from '../replace-segment.ts';
import { isWalDamage } from '../stored-wal.ts';
import { isStoreAway } from './persistence.ts';
import type { CollectedSegment, SegmentChecker } from './segment-checker.ts';

/** Fragments that are deleted at the same time. */
const DELETIONS_MAX = 8;

/** A segment whose bytes are all here. */
export interface WholeSegment {
  readonly place: LineagePlace;
  readonly timeline: number;
  readonly number: bigint;
  readonly segmentBytes: number;
  /** All its bytes, anew each time it is called. */
  read(): AsyncIterable<Buffer>;
  /** The same in memory that a thread sees which may store it. */
  readonly aside?: { readonly thread: BodyThread; readonly bytes: Buffer };
}

/**
 * Stores a whole segment as one object: checked as WAL, stored, read back and compared. Only after that may its fragments go. What the
 * check gathered for the commit index and the cross-checks is stored last: it is made from the segment and may be missing.
 *
 * Safe to repeat, also by another receiver: a segment that is there already is compared like one's own, and one that is damaged is stored again
 * as fragments, which readers turn to.
 * Errors: WAL_SEGMENT_UNSOUND when it does not pass the check, and nothing was stored; WAL_SEGMENT_DIFFERS when what stands under its name is
 * something else; OBJECT_DAMAGED for what was stored just now; those of the store.
 */
export async function joinSegment(
  repository: Repository,
  checker: SegmentChecker,
  segment: WholeSegment,
): Promise<string> {
  const collected = await checkSegment(repository, checker, segment);
  const name = await storeSegment(repository, segment);
  await keepCollected(repository, checker, segment, collected);
  return name;
}

/**
 * The first part of joining: checks the segment as WAL, and gives what was gathered of it on the way. One checker checks one
 * segment after the other. Errors: WAL_SEGMENT_UNSOUND; those of the store.
 */
export async function checkSegment(
  repository: Repository,
  checker: SegmentChecker,
  segment: WholeSegment,
): Promise<CollectedSegment | null> {
  const unsound = await scanSegment(repository, checker, segment);
  if (unsound !== null) {
    const name = nameOf(segment);
    throw new HoldfastError('WAL_SEGMENT_UNSOUND', `cannot join WAL segment "${name}": it is not sound WAL`, {
      detail: `At ${formatLsn(unsound.lsn)}: ${unsound.detail}`,
      hints: [
        'The fragments that hold it are kept. Check the disks and the memory of the server, and take a new base backup.',
      ],
    });
  }
  return checker.collected;
}

/** The second part: stores what was checked, reads it back and compares it. Gives the segment's name. Errors: those of `joinSegment`. */
export async function storeSegment(repository: Repository, segment: WholeSegment): Promise<string> {
  const name = nameOf(segment);
  const object = { kind: 'wal-segment' as const, name: segmentObjectName(segment.place, name) };
  const { place, timeline, segmentBytes, aside } = segment;
  const put: StreamPut | ThreadPut =
    (await aside?.thread.put(repository, object, aside.bytes)) ??
    (await putBodyStream(repository, object, segment.read()));
  const { outcome } = put;
  try {
    if (outcome === 'created') await readBack(repository, name, { ...object, ...put }, segment);
    else await compareBack(name, getBodyStream(repository, object), segment.read());
  } catch (error) {
    // What stands under the name is damaged and can never be written again; what was stored just now has to be sound.
    if (outcome === 'created' || !isWalDamage(error)) throw error;
    const start = segment.number * BigInt(segmentBytes);
    await replaceSegment(repository, { place, timeline, start, pieces: segment.read() });
  }
  return name;
}

/** The last part, in the order of the segments: stores what the check gathered. */
export async function keepCollected(
  repository: Repository,
  checker: SegmentChecker,
  { place, timeline, segmentBytes }: WholeSegment,
  collected: CollectedSegment | null,
): Promise<void> {
  const { landmarks, changes } = collected ?? { landmarks: null, changes: null };
  const at = { ...place, timeline, segmentBytes };
  await Promise.all([
    landmarks === null ? null : checker.landmarks.keep(repository, at, landmarks),
    changes === null ? null : checker.changes.keep(repository, at, changes),
  ]);
}

function nameOf({ timeline, number, segmentBytes }: WholeSegment): string {
  return formatSegmentName(timeline, number, segmentBytes);
}

/** Compares what was stored just now. The store is asked for its size at the same time as for its bytes: more than what was put is damage as well. */
async function readBack(
  repository: Repository,
  name: string,
  object: BodyStream & (StreamPut | ThreadPut),
  segment: WholeSegment,
): Promise<void> {
  const comparing = compareOwn(repository, name, object, segment);
  comparing.catch(() => {}); // Awaited below, unless the store does not say how long the object is.
  const stored = (await repository.store.stat(object.name))?.size ?? null;
  await comparing;
  if (stored === object.size) return;
  throw damagedObject(
    object.name,
    `Expected its ${object.size} bytes, which were stored just now, found ${stored ?? 'none'}.`,
  );
}

/** A thread that does not find it equal is believed nothing: it is looked at here, and what is wrong with it told. */
async function compareOwn(
  repository: Repository,
  name: string,
  object: BodyStream & (StreamPut | ThreadPut),
  segment: WholeSegment,
): Promise<void> {
  if ('task' in object && (await segment.aside?.thread.isStored(repository, object))) return;
  await compareBack(name, getBodyStream(repository, object), segment.read());
}

/**
 * Where no scan of the segment before can be gone on with, the index tells of the record that began there. Should that not be this WAL's, the
 * segment is judged by itself: an index is no witness against WAL.
 */
async function scanSegment(
  repository: Repository,
  checker: SegmentChecker,
  segment: WholeSegment,
): Promise<WalStop | null> {
  const { place, timeline, segmentBytes, number } = segment;
  if (checker.goesOnWith(number)) return checker.check(number, segment.read());
  const before = await readBlockBefore(repository, { ...place, timeline, segmentBytes }, number).catch(noneWhileAway);
  const unsound = await checker.check(number, segment.read(), before);
  return unsound === null || before === null ? unsound : checker.check(number, segment.read());
}

/** While the primary is away WAL goes on without it: what the index would tell is made up for when it is made anew. */
function noneWhileAway(error: unknown): null {
  if (!isStoreAway(error)) throw error;
  return null;
}

/**
 * Deletes fragments whose segment is stored and compared. A store that refuses to delete loses nothing by it: the fragments are told apart
 * from the segment by every reader, and the next receiver tries again.
 */
export async function deleteFragments(
  repository: Repository,
  fragments: Iterable<Pick<StoredFragment, 'objectName'>>,
): Promise<void> {
  await inLanes(DELETIONS_MAX, fragments, async ({ objectName }) => {
    try {
      await repository.store.delete(objectName);
    } catch (error) {
      // What a store did not make durable is the one thing that must stop us (rule C1).
      if (codeOf(error) === 'STORE_SYNC_FAILED') throw error;
    }
  });
}

async function compareBack(name: string, stored: AsyncIterable<Buffer>, own: AsyncIterable<Buffer>): Promise<void> {
  const reader = new PieceReader(own);
  let at = 0;
  for await (const piece of stored) {
    const expected = await reader.take(piece.length);
    if (!expected.equals(piece)) throw differs(name, `Its bytes differ behind offset ${at}.`);
    at += piece.length;
    giveBack(piece);
  }
  if (!(await reader.isAtEnd())) throw differs(name, `What is stored ends at offset ${at}.`);
}

/** Cuts pieces of any size into pieces of the size that is asked for. */
class PieceReader {
  readonly #pieces: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(pieces: AsyncIterable<Buffer>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** `length` bytes, or fewer at the end. */
  async take(length: number): Promise<Buffer> {
    while (this.#rest.length < length) {
      const { value, done } = await this.#pieces.next();
      if (done) break;
      this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
    }
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && (await this.#pieces.next()).done === true;
  }
}

function differs(name: string, detail: string): HoldfastError {
  return new HoldfastError(
    'WAL_SEGMENT_DIFFERS',
    `cannot keep WAL segment "${name}": another one is stored under its name`,
    {
      detail,
      hints: [
        'The fragments that hold what the server sent are kept. Run `holdfast wal status` and take a new base backup.',
      ],
    },
  );
}
