import { GarbageGauge, type GarbageRule, HoldfastError } from '../../lib/index.ts';
import { BodyOpener, kindPrefix, type ObjectKeys } from '../codec/index.ts';
import { listDamagedPacks } from '../damage/index.ts';
import { isAbsent } from '../object-store/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import { listTombstonedPacks } from '../tombstone/index.ts';
import { ChunkIndex } from './chunk-index.ts';
import { decodeIndex, type IndexedPack } from './index-object.ts';

/** An entry has 40 bytes, of which compression takes some: the identity stays, lengths are much alike. Rather too few: a table that has to grow costs more. */
const STORED_BYTES_PER_CHUNK = 34;

/** An object is in memory several times over while it is opened: sealed, its pieces as they are deciphered, and unpacked. */
export const INDEX_GARBAGE_FACTOR = 3;
export const INDEX_GARBAGE: GarbageRule = { bytesMax: 24 << 20, type: 'major' };

/** What one object can be like without the others being doubted. */
const UNREADABLE_CODES = new Set(['OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT', 'RECORD_UNRECOGNIZED']);

/**
 * Reads damage records, tombstones and every index object, in this order: a pack that is found damaged meanwhile may be missed, as it may be
 * found a moment later, but none that was recorded before.
 *
 * An index object that cannot be read is left out and listed in `unreadable`: writers store its chunks again, and a reader who misses one of
 * them is told. Errors: those of the store; `OBJECT_DAMAGED` and the like for a tombstone that a writer cannot read. The caller closes the index.
 */
export async function loadIndex(
  objects: SealedObjects,
  options: { scratchDirectory?: string } = {},
): Promise<ChunkIndex> {
  const doubtful = await listDoubtfulPacks(objects);
  const names: string[] = [];
  let bytes = 0;
  for await (const { name, size } of objects.store.list(kindPrefix('index'))) {
    names.push(name);
    bytes += size;
  }
  const garbage = new GarbageGauge(INDEX_GARBAGE);
  const room = new BodyRoom();
  const index = new ChunkIndex({ ...options, expectedChunks: bytes / STORED_BYTES_PER_CHUNK });
  try {
    // The next object comes from the store while this one is taken apart.
    let next = fetchObject(objects, names[0]);
    for (const [i, name] of names.entries()) {
      const sealed = await next;
      next = fetchObject(objects, names[i + 1]);
      for (const pack of readIndexObject(objects, name, sealed, index, room)) {
        index.addPack(pack, { doubtful: doubtful.has(Buffer.from(pack.packId).toString('hex')) });
      }
      if (sealed instanceof Uint8Array) garbage.add(INDEX_GARBAGE_FACTOR * sealed.length);
    }
  } catch (error) {
    index.close();
    throw error;
  }
  index.rest();
  return index;
}

async function listDoubtfulPacks(objects: SealedObjects): Promise<Set<string>> {
  const doubtful = await listDamagedPacks(objects.store);
  try {
    for (const pack of await listTombstonedPacks(objects)) doubtful.add(pack);
  } catch (error) {
    // For a reader the order in which copies are tried is all that depends on it.
    if (objects.access !== 'read' || !isUnreadable(error)) throw error;
  }
  return doubtful;
}

/** The stored bytes, or why they could not be had: the error is told when the object's turn comes. */
async function fetchObject(objects: SealedObjects, name: string | undefined): Promise<Buffer | { error: unknown }> {
  try {
    return name === undefined ? Buffer.alloc(0) : await objects.store.get(name);
  } catch (error) {
    return { error };
  }
}

function readIndexObject(
  objects: SealedObjects,
  name: string,
  sealed: Buffer | { error: unknown },
  index: ChunkIndex,
  room: BodyRoom,
): IndexedPack[] {
  try {
    if (!Buffer.isBuffer(sealed)) throw sealed.error;
    return decodeIndex(room.open(objects.keys, name, sealed), name);
  } catch (error) {
    // Replaced by a newer one and deleted since it was listed.
    if (isAbsent(error)) return [];
    if (!isUnreadable(error)) throw error;
    index.unreadable.push({ name, reason: error.detail ?? error.message });
    return [];
  }
}

function isUnreadable(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && UNREADABLE_CODES.has(error.code);
}

/** Memory for the body of one object after the other: what it gave is good until the next. */
class BodyRoom {
  #bytes = Buffer.alloc(0);

  /** Errors: as `openBody`. */
  open(keys: ObjectKeys, name: string, sealed: Buffer): Buffer {
    const opener = new BodyOpener(keys, { kind: 'index', name });
    let length = 0;
    const add = (piece: Buffer) => {
      this.#reserve(length + piece.length);
      this.#bytes.set(piece, length);
      length += piece.length;
    };
    for (const piece of opener.push(sealed)) add(piece);
    add(opener.finish());
    return this.#bytes.subarray(0, length);
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.ceil(length * 1.5));
    grown.set(this.#bytes, 0);
    this.#bytes = grown;
  }
}
