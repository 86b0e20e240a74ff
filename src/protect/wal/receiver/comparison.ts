import { HoldfastError } from '../../../lib/index.ts';
import { formatLsn } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { compareLsn, type LsnRange, maxLsn, mergeRanges, minLsn, unbrokenEnd } from '../lsn-ranges.ts';
import { isWalDamage, readWalObject, type WalObject } from '../stored-wal.ts';

/** A stored object with the part of it that the server's WAL must equal: an older timeline's ends at the switch. */
export interface ComparedObject extends WalObject {
  readonly comparedEnd: bigint;
}

/** The server's WAL is not the stored one. */
export interface Divergence {
  /** The first byte that differs. */
  readonly lsn: bigint;
  readonly objectName: string;
}

/** Told of an object that cannot be used. */
export type Damaged = (object: WalObject, error: HoldfastError) => void;

/**
 * Holds arriving WAL against every stored object that has the same positions, byte by byte (rule A4).
 *
 * An object that turns out damaged is told to `onDamage` and no longer counts as stored.
 */
export class Comparison {
  readonly #repository: Repository;
  readonly #onDamage: Damaged;
  /** By start; those that the stream has passed are gone. */
  #waiting: ComparedObject[];
  #open: OpenObject[] = [];
  /** Those that are or were compared. */
  readonly #known: Set<string>;
  readonly #listAgain: (() => Promise<readonly ComparedObject[]>) | null;
  /** Stored bytes that were found equal. */
  comparedBytes = 0n;

  /**
   * `listAgain` gives what is stored now. With it, an object that another receiver has joined meanwhile is no damage: what took its place is
   * compared instead.
   */
  constructor(
    repository: Repository,
    objects: readonly ComparedObject[],
    onDamage: Damaged,
    listAgain: (() => Promise<readonly ComparedObject[]>) | null = null,
  ) {
    this.#repository = repository;
    this.#onDamage = onDamage;
    this.#listAgain = listAgain;
    this.#waiting = objects.toSorted((a, b) => compareLsn(a.start, b.start));
    this.#known = new Set(objects.map(({ objectName }) => objectName));
  }

  /** Compares the next bytes of the stream; gives the first difference, `null` when there is none. */
  async check(lsn: bigint, bytes: Buffer): Promise<Divergence | null> {
    const end = lsn + BigInt(bytes.length);
    while (this.#waiting[0] !== undefined && this.#waiting[0].start < end) {
      const object = this.#waiting.shift()!;
      if (object.comparedEnd > lsn)
        this.#open.push(new OpenObject(this.#repository, object, maxLsn(object.start, lsn)));
    }
    let found: Divergence | null = null;
    // What takes the place of a vanished object is added while the list is walked, and compared with the same bytes.
    for (const open of this.#open) {
      const difference = await this.#checkOne(open, { start: lsn, end }, bytes);
      if (difference !== null && (found === null || difference.lsn < found.lsn)) found = difference;
    }
    this.#open = this.#open.filter((open) => open.at < open.object.comparedEnd && !open.isDamaged);
    return found;
  }

  async #checkOne(open: OpenObject, range: LsnRange, bytes: Buffer): Promise<Divergence | null> {
    const { object } = open;
    const end = minLsn(range.end, object.comparedEnd);
    try {
      while (open.at < end) {
        const stored = await open.next(Number(end - open.at));
        const offset = Number(open.at - range.start);
        const streamed = bytes.subarray(offset, offset + stored.length);
        if (!streamed.equals(stored)) {
          const equal = firstDifference(streamed, stored);
          this.comparedBytes += BigInt(equal);
          return { lsn: open.at + BigInt(equal), objectName: object.objectName };
        }
        open.advance(stored.length);
        this.comparedBytes += BigInt(stored.length);
      }
    } catch (error) {
      if (!isWalDamage(error)) throw error;
      open.isDamaged = true;
      if (error.code === 'OBJECT_ABSENT' && (await this.#findHeirs(open))) return null;
      this.#onDamage(object, error);
    }
    return null;
  }

  /** Goes on with what took the place of an object that is gone; false when nothing did, or not for all of its bytes. */
  async #findHeirs({ object, at }: OpenObject): Promise<boolean> {
    if (this.#listAgain === null) return false;
    const now = await this.#listAgain();
    const heirs = now.filter(({ start, comparedEnd }) => start < object.comparedEnd && comparedEnd > at);
    if (
      unbrokenEnd(mergeRanges(heirs.map(({ start, comparedEnd: end }) => ({ start, end }))), at) < object.comparedEnd
    ) {
      return false;
    }
    for (const heir of heirs.filter(({ objectName }) => !this.#known.has(objectName))) {
      this.#known.add(heir.objectName);
      this.#open.push(new OpenObject(this.#repository, heir, maxLsn(heir.start, at)));
    }
    return true;
  }
}

/** One object that is being read along with the stream. */
class OpenObject {
  readonly object: ComparedObject;
  readonly #pieces: AsyncGenerator<Buffer, void>;
  #piece: Buffer = Buffer.alloc(0);
  at: bigint;
  isDamaged = false;

  constructor(repository: Repository, object: ComparedObject, from: bigint) {
    this.object = object;
    this.at = from;
    this.#pieces = readWalObject(repository, object, from);
  }

  /** At least one and at most `lengthMax` of the next stored bytes. */
  async next(lengthMax: number): Promise<Buffer> {
    if (this.#piece.length === 0) {
      const { value, done } = await this.#pieces.next();
      if (done) throw endsEarly(this.object, this.at);
      this.#piece = value;
    }
    return this.#piece.subarray(0, lengthMax);
  }

  advance(bytes: number): void {
    this.#piece = this.#piece.subarray(bytes);
    this.at += BigInt(bytes);
  }
}

function firstDifference(a: Buffer, b: Buffer): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}

/** `readWalObject` has proved the length, so this is a reader that was asked for more than the object has. */
function endsEarly(object: WalObject, at: bigint): HoldfastError {
  return new HoldfastError('OBJECT_DAMAGED', `cannot read object "${object.objectName}": it is damaged`, {
    detail: `Expected WAL up to ${formatLsn(object.end)}, found its end at ${formatLsn(at)}.`,
  });
}
