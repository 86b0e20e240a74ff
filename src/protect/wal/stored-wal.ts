import { assert, beginIterating, codeOf, HoldfastError, mapAhead } from '../../lib/index.ts';
import { formatLsn, formatSegmentName, segmentNumberOf } from '../../postgres/index.ts';
import { getBodyStream, type Repository } from '../../repository/index.ts';
import { findLineage, type LineageInventory, readWalInventory, type StoredFragment } from './inventory.ts';
import { clipRange, type LsnRange } from './lsn-ranges.ts';
import { stretchOfSegment, type TimelineStretch } from './timeline-path.ts';

/** An object that holds WAL: a whole segment or a fragment of one. */
export interface WalObject extends LsnRange {
  readonly kind: 'wal-segment' | 'wal-fragment';
  readonly objectName: string;
  /** Stored bytes, where a listing told them. */
  readonly size?: number | undefined;
}

/** A stored object with the part of it that is on the way: before `usableEnd`. */
interface UsableObject extends WalObject {
  readonly usableEnd: bigint;
}

/** What is read of an object: from `from` up to `end`. */
interface PlannedRead {
  readonly object: UsableObject;
  readonly from: bigint;
  readonly end: bigint;
}

/**
 * Objects whose first bytes are on their way while one is read. Of each at most two requests are under way (`getBodyStream`), 8 MiB, so that a whole
 * segment and the next one are, or the fragments of some seconds.
 */
const OBJECTS_AHEAD = {
  atOnceMax: 8,
  weightMax: 12 << 20,
  weigh: ({ object: { size = 1 << 20 } }: PlannedRead) => Math.min(size, 8 << 20),
};

/** A receiver may join fragments while we read them; each time, another listing finds the segment that took their place. */
const RELISTINGS_MAX = 3;

/** The WAL that is stored on the way to one timeline of a lineage, as one run of bytes. */
export class StoredWal {
  readonly #repository: Repository;
  readonly #path: readonly TimelineStretch[];
  readonly #segmentBytes: number;
  #lineage: LineageInventory;
  #fragments: ReadonlyMap<number, ReadonlyMap<bigint, readonly StoredFragment[]>>;
  /** Objects that turned out damaged: they are not read again. */
  readonly #damaged = new Map<string, HoldfastError>();

  constructor(repository: Repository, lineage: LineageInventory, path: readonly TimelineStretch[]) {
    this.#repository = repository;
    this.#lineage = lineage;
    this.#path = path;
    this.#segmentBytes = lineage.header.segmentBytes;
    this.#fragments = groupFragments(lineage);
  }

  /** What was found damaged so far, by object name. */
  get damaged(): ReadonlyMap<string, HoldfastError> {
    return this.#damaged;
  }

  /** The name under which PostgreSQL asks for a segment on this way. */
  segmentName(number: bigint): string {
    const { timeline } = stretchOfSegment(this.#path, number, this.#segmentBytes);
    return formatSegmentName(timeline, number, this.#segmentBytes);
  }

  /**
   * WAL from `from` up to `to` or to the first byte that is not stored, in pieces without gaps. Each piece is proved before it comes.
   *
   * A damaged object is passed over when another one holds the same bytes.
   * Errors: OBJECT_DAMAGED when no other does, as then WAL is lost that was stored; those of the store.
   */
  async *read(from: bigint, to: bigint): AsyncGenerator<Buffer, void> {
    let at = from;
    let relistings = 0;
    for (let again = true; again; ) {
      again = false;
      const begin = async (read: PlannedRead) => {
        return { ...read, pieces: beginIterating(readWalObject(this.#repository, read.object, read.from)) };
      };
      for await (const { object, end, pieces } of mapAhead(this.#planReads(at, to), OBJECTS_AHEAD, begin)) {
        try {
          for await (const piece of pieces) {
            const wanted = piece.subarray(0, Number(end - at));
            at += BigInt(wanted.length);
            yield wanted;
            if (at === end) break;
            relistings = 0;
          }
        } catch (error) {
          if (codeOf(error) === 'OBJECT_ABSENT' && relistings++ < RELISTINGS_MAX) await this.#listAgain();
          else this.#noteDamage(object, error);
          // What was begun ahead goes on from an end that was not reached.
          again = true;
          break;
        }
      }
    }
  }

  /** What is read of which objects, as long as each holds what its name says. */
  *#planReads(from: bigint, to: bigint): Generator<PlannedRead, void> {
    for (let at = from; at < to; ) {
      const object = this.#chooseObject(at);
      if (object === null) return;
      const end = object.usableEnd < to ? object.usableEnd : to;
      yield { object, from: at, end };
      at = end;
    }
  }

  /** The sound object that goes furthest from `at`; `null` when nothing was ever stored there. */
  #chooseObject(at: bigint): UsableObject | null {
    const number = segmentNumberOf(at, this.#segmentBytes);
    const holding = this.#objectsOf(number).filter(({ start, usableEnd }) => start <= at && at < usableEnd);
    const [best] = holding
      .filter((object) => !this.#damaged.has(object.objectName))
      .sort((a, b) => (a.usableEnd < b.usableEnd ? 1 : -1));
    const [lost] = holding;
    if (best === undefined && lost !== undefined) throw this.#damaged.get(lost.objectName);
    return best ?? null;
  }

  /** Every object with bytes of a segment that are on the way. */
  #objectsOf(number: bigint): UsableObject[] {
    const size = BigInt(this.#segmentBytes);
    const bounds = { start: number * size, end: (number + 1n) * size };
    return this.#path.flatMap((stretch) => {
      // The segment in which a timeline begins is its own from its start on, so only the end of a stretch is a bound.
      if (stretch.from >= bounds.end || (stretch.to !== null && stretch.to <= bounds.start)) return [];
      const usable = { start: bounds.start, end: stretch.to ?? bounds.end };
      const segment = this.#lineage.timelines.get(stretch.timeline)?.segments.get(number);
      const fragments = this.#fragments.get(stretch.timeline)?.get(number) ?? [];
      const objects: WalObject[] = fragments.map((fragment) => fragmentObject(fragment));
      if (segment !== undefined) {
        const { objectName, size } = segment;
        objects.push({ kind: 'wal-segment', ...bounds, objectName, size });
      }
      return objects.flatMap((object) => {
        const part = clipRange(object, usable);
        return part === null ? [] : [{ ...object, usableEnd: part.end }];
      });
    });
  }

  #noteDamage(object: WalObject, error: unknown): void {
    if (!(error instanceof HoldfastError) || !isWalDamage(error)) throw error;
    this.#damaged.set(object.objectName, error);
  }

  async #listAgain(): Promise<void> {
    const inventory = await readWalInventory(this.#repository, this.#lineage.system);
    this.#lineage = findLineage(inventory, this.#lineage.lineage);
    this.#fragments = groupFragments(this.#lineage);
  }
}

/** A fragment as an object to read. */
export function fragmentObject({ start, end, objectName, size }: StoredFragment): WalObject {
  return { kind: 'wal-fragment', start, end, objectName, size };
}

/**
 * The bytes of one object from `from` on, in pieces. An object whose body is not as long as its name says counts as damaged.
 * Errors: OBJECT_DAMAGED, OBJECT_ABSENT and others of the store.
 */
export async function* readWalObject(
  repository: Repository,
  object: WalObject,
  from: bigint = object.start,
): AsyncGenerator<Buffer, void> {
  assert(object.start <= from && from < object.end, 'WAL is read from an object that holds it');
  let at = object.start;
  const { kind, objectName: name, size } = object;
  for await (const piece of getBodyStream(repository, { kind, name, ...(size === undefined ? {} : { size }) })) {
    const end = at + BigInt(piece.length);
    if (end > object.end) throw wrongLength(object, 'more');
    if (end > from) yield at < from ? piece.subarray(Number(from - at)) : piece;
    at = end;
  }
  if (at !== object.end) throw wrongLength(object, formatLsn(at));
}

/**
 * True for what no repetition mends: the object is there and is not what was stored, or it is gone. A damaged head of an object may name a version
 * or a key epoch that nobody has.
 */
export function isWalDamage(error: unknown): error is HoldfastError {
  return WAL_DAMAGE_CODES.has(codeOf(error) ?? '');
}

const WAL_DAMAGE_CODES = new Set([
  ...['OBJECT_DAMAGED', 'OBJECT_TRUNCATED', 'OBJECT_ABSENT'],
  ...['OBJECT_NEWER', 'KEY_EPOCH_ABSENT'],
]);

function groupFragments(lineage: LineageInventory): Map<number, Map<bigint, StoredFragment[]>> {
  const { segmentBytes } = lineage.header;
  return new Map(
    [...lineage.timelines].map(([timeline, { fragments }]) => [
      timeline,
      Map.groupBy(fragments, (fragment) => segmentNumberOf(fragment.start, segmentBytes)),
    ]),
  );
}

function wrongLength(object: WalObject, found: string): HoldfastError {
  return new HoldfastError('OBJECT_DAMAGED', `cannot read object "${object.objectName}": it is damaged`, {
    detail: `Expected WAL up to ${formatLsn(object.end)}, as its name says, found ${found}.`,
  });
}
