import { createHash, randomBytes } from 'node:crypto';
import { type IndexedPack, PACK_ENTRY_BYTES, type Repository, writeIndexObjects } from '../../src/repository/index.ts';

/** Chunks of one index object as a backup writes them. */
const CHUNKS_PER_OBJECT = 65_536;

/** As many as fit into 64 MiB when a chunk of 1 MiB is compressed to four tenths. */
export const CHUNKS_PER_PACK = 150;

const FRAME_BYTES = 420_000;
const RAW_BYTES = 1 << 20;

/**
 * The identity of the `number`-th chunk of a synthetic repository: as evenly spread as a keyed hash, and known without being kept.
 */
export function syntheticId(seed: number, number: number): Buffer {
  const input = Buffer.alloc(12);
  input.writeUInt32LE(seed, 0);
  input.writeBigUInt64LE(BigInt(number), 4);
  return createHash('sha256').update(input).digest();
}

/**
 * Writes index objects for `chunks` chunks in packs of full size, as backups would have written them, without the packs: for what opening,
 * loading and looking up cost at sizes that no test could fill with data.
 */
export async function writeSyntheticIndex(repository: Repository, chunks: number, seed = 1): Promise<void> {
  for (let first = 0; first < chunks; first += CHUNKS_PER_OBJECT) {
    const packs: IndexedPack[] = [];
    const end = Math.min(first + CHUNKS_PER_OBJECT, chunks);
    for (let at = first; at < end; at += CHUNKS_PER_PACK)
      packs.push(makePack(seed, at, Math.min(at + CHUNKS_PER_PACK, end)));
    await writeIndexObjects(repository, packs);
  }
}

function makePack(seed: number, from: number, to: number): IndexedPack {
  const entries = Buffer.alloc((to - from) * PACK_ENTRY_BYTES);
  for (let number = from; number < to; number++) {
    const at = (number - from) * PACK_ENTRY_BYTES;
    const id = syntheticId(seed, number);
    entries.set(id, at);
    entries.writeUInt32LE(FRAME_BYTES + (id.readUInt32LE(8) % 10_000), at + 32);
    entries.writeUInt32LE(RAW_BYTES, at + 36);
  }
  return { packId: randomBytes(32), content: 'data', epoch: 1, entries };
}
