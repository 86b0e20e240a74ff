import { GarbageGauge, type GarbageRule, mapAhead } from '../../lib/index.ts';
import { BodyOpener, kindPrefix, type ObjectKeys } from '../codec/index.ts';
import { listDamagedPacks } from '../damage/index.ts';
import { isAbsent, isDamageOfOnePlace, type ObjectEntry, readProved } from '../object-store/index.ts';
import { isUnreadableRecord, type SealedObjects } from '../sealed/index.ts';
import { listTombstonedPacks } from '../tombstone/index.ts';
import { ChunkIndex } from './chunk-index.ts';
import { decodeIndex, type IndexedPack } from './index-object.ts';

/** An entry has 40 bytes, of which compression takes some: the identity stays, lengths are much alike. Rather too few: a table that has to grow costs more. */
const STORED_BYTES_PER_CHUNK = 34;

/** An object is in memory several times over while it is opened: sealed, its pieces as they are deciphered, and unpacked. */
export const INDEX_GARBAGE_FACTOR = 3;
export const INDEX_GARBAGE: GarbageRule = { bytesMax: 24 << 20, type: 'major' };

/**
 * Objects on their way at once, and their bytes together: three of the greatest, so that memory stays as small as it was with one after the
 * other, and many of the small ones that every backup leaves.
 */
const READ_LIMIT = { atOnceMax: 32, weightMax: 8 << 20, weigh: ({ size }: ObjectEntry) => size };

/** Each more would be another prune that replaced what had been listed a moment ago. */
const ROUNDS_MAX = 8;

/**
 * Reads damage records, tombstones and every index object, at the same time: a pack that is found damaged or announced meanwhile may be missed, as
 * it may be a moment later, but none that was recorded before.
 *
 * An index object that cannot be read is left out and listed in `unreadable`: writers store its chunks again, and a reader who misses one of
 * them is told. One that went since it was listed was replaced by newer ones: they are listed again. Errors: those of the store; `OBJECT_DAMAGED` and the like for a
 * tombstone that a writer cannot read. The caller closes the index.
 *
 * `onObject` is told what each index object names, and must not keep the entries.
 */
export async function loadIndex(
  objects: SealedObjects,
  options: { scratchDirectory?: string; onObject?: (name: string, packs: readonly IndexedPack[]) => void } = {},
): Promise<ChunkIndex> {
  const [{ doubtful, announced }, listed] = await Promise.all([listDoubtfulPacks(objects), listIndexObjects(objects)]);
  const garbage = new GarbageGauge(INDEX_GARBAGE);
  const room = new BodyRoom();
  const bytes = listed.reduce((sum, { size }) => sum + size, 0);
  const index = new ChunkIndex({ ...options, expectedChunks: bytes / STORED_BYTES_PER_CHUNK });
  index.announced = announced;
  try {
    // The next objects come from the store while one is taken apart.
    const fetch = async ({ name }: ObjectEntry) => ({ name, sealed: await fetchObject(objects, name) });
    const taken = new Set<string>();
    let wanted = listed;
    for (let round = 1; wanted.length > 0; round++) {
      let replaced = 0;
      for await (const { name, sealed } of mapAhead(wanted, READ_LIMIT, fetch)) {
        taken.add(name);
        const packs = await readIndexObject(objects, name, sealed, index, room);
        if (packs === null) replaced += 1;
        else options.onObject?.(name, packs);
        for (const pack of packs ?? []) {
          index.addPack(pack, { doubtful: doubtful.has(Buffer.from(pack.packId).toString('hex')) });
        }
        if (sealed instanceof Uint8Array) garbage.add(INDEX_GARBAGE_FACTOR * sealed.length);
      }
      if (replaced === 0 || round === ROUNDS_MAX) break;
      // What took their place was written before they were deleted.
      wanted = (await listIndexObjects(objects)).filter(({ name }) => !taken.has(name));
    }
  } catch (error) {
    index.close();
    throw error;
  }
  index.rest();
  return index;
}

async function listIndexObjects(objects: SealedObjects): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for await (const entry of objects.store.list(kindPrefix('index'))) entries.push(entry);
  return entries;
}

async function listDoubtfulPacks(objects: SealedObjects): Promise<{ doubtful: Set<string>; announced: Set<string> }> {
  const tombstoned = async (): Promise<Set<string>> => {
    try {
      return await listTombstonedPacks(objects);
    } catch (error) {
      // For a reader the order in which copies are tried is all that depends on it.
      if (objects.access !== 'read' || !isUnreadableRecord(error)) throw error;
      return new Set();
    }
  };
  const [damaged, announced] = await Promise.all([listDamagedPacks(objects.store), tombstoned()]);
  return { doubtful: new Set([...damaged, ...announced]), announced };
}

/** The stored bytes, or why they could not be had: the error is told when the object's turn comes. */
async function fetchObject(objects: SealedObjects, name: string): Promise<Buffer | { error: unknown }> {
  try {
    return await objects.store.get(name);
  } catch (error) {
    return { error };
  }
}

/** `null` for one that was replaced by newer ones and deleted since it was listed. */
async function readIndexObject(
  objects: SealedObjects,
  name: string,
  sealed: Buffer | { error: unknown },
  index: ChunkIndex,
  room: BodyRoom,
): Promise<IndexedPack[] | null> {
  const open = (bytes: Buffer) => decodeIndex(room.open(objects.keys, name, bytes), name);
  try {
    try {
      if (!Buffer.isBuffer(sealed)) throw sealed.error;
      return open(sealed);
    } catch (error) {
      if (objects.store.readProved === undefined || !isDamageOfOnePlace(error)) throw error;
      return await readProved(objects.store, name, async (from) => open(await from.get(name)));
    }
  } catch (error) {
    if (isAbsent(error)) return null;
    if (!isUnreadableRecord(error)) throw error;
    index.unreadable.push({ name, reason: error.detail ?? error.message });
    return [];
  }
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
