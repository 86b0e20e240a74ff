import { createHash, randomBytes } from 'node:crypto';
import {
  ChunkIndex,
  ChunkPacker,
  commitSnapshot,
  type Extent,
  encodeFileMap,
  type IndexedPack,
  newSnapshotId,
  PACK_ENTRY_BYTES,
  PackDepot,
  type Repository,
  type SnapshotRecord,
  TreeWriter,
  writeIndexObjects,
} from '../../src/repository/index.ts';

/** Chunks of one index object as a backup writes them. */
const CHUNKS_PER_OBJECT = 65_536;

/** As many as fit into 64 MiB when a chunk of 1 MiB is compressed to four tenths. */
const CHUNKS_PER_PACK = 150;

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

/** How many packs hold the first `chunks` chunks of a synthetic repository: each index object begins a pack of its own. */
export function countPacks(chunks: number): number {
  const perObject = Math.ceil(CHUNKS_PER_OBJECT / CHUNKS_PER_PACK);
  return Math.floor(chunks / CHUNKS_PER_OBJECT) * perObject + Math.ceil((chunks % CHUNKS_PER_OBJECT) / CHUNKS_PER_PACK);
}

/** Chunks of one map leaf: 8 MiB. */
const CHUNKS_PER_LEAF = 8;
/** With ten chunks of 1 MiB each, 100,000 of them are a cluster of 1 TB. */
const CHUNKS_PER_FILE = 10;

/**
 * Writes the tree of a snapshot whose files are made of the first `chunks` synthetic chunks, as a backup would, without page fingerprints, and
 * commits it.
 */
export async function writeSyntheticSnapshot(
  repository: Repository,
  chunks: number,
  seed = 1,
): Promise<SnapshotRecord> {
  const index = new ChunkIndex();
  const depot = new PackDepot(repository, index);
  const packer = new ChunkPacker({ repository, index, depot, content: 'tree' });
  try {
    const tree = new TreeWriter((raw) => packer.store(raw));
    for (let file = 0; file * CHUNKS_PER_FILE < chunks; file++) {
      const ids = Array.from({ length: CHUNKS_PER_FILE }, (_, i) => syntheticId(seed, file * CHUNKS_PER_FILE + i));
      const leaves: Buffer[] = [];
      for (let first = 0; first < ids.length; first += CHUNKS_PER_LEAF) {
        const extents = ids
          .slice(first, first + CHUNKS_PER_LEAF)
          .map((id): Extent => ({ form: 'chunk', length: RAW_BYTES, id, offset: 0 }));
        leaves.push(await packer.store(encodeFileMap({ extents, fingerprints: null })));
      }
      const path = `data/base/5/${String(100_000 + file)}`;
      const content = { form: 'split' as const, leaves };
      await tree.add({ type: 'file', path, mode: 0o600, mtimeMs: 1, size: CHUNKS_PER_FILE * RAW_BYTES, content });
    }
    const summary = await tree.finish();
    await packer.finish();
    return await commit(repository, summary);
  } finally {
    index.close();
  }
}

async function commit(repository: Repository, tree: SnapshotRecord['tree']): Promise<SnapshotRecord> {
  const at = '2026-01-01T00:00:00.000Z';
  const snapshot: SnapshotRecord = {
    ...{ version: 1, id: newSnapshotId(), kind: 'base-backup', cluster: 'main', writer: 'ab'.repeat(16), tree },
    ...{ startedAt: at, completedAt: at, stored: { newChunks: 1, newBytes: 1, storedBytes: 1 } },
    wal: { system: '7', lineage: 'a'.repeat(64), timeline: 1, start: '0/1000028', end: '0/1000100' },
    details: {},
  };
  await commitSnapshot(repository, snapshot);
  return snapshot;
}
