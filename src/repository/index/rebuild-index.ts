import { HoldfastError } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import type { Lease } from '../lease/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { PACK_ENTRY_BYTES, readPackDirectory } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import { listTombstonedPacks } from '../tombstone/index.ts';
import { INDEX_CHUNKS_MAX, type IndexedPack, writeIndexObjects } from './index-object.ts';
import { loadIndex } from './load-index.ts';

/** Packs whose directories are read at once: each costs a few small requests. */
const LANES = 8;

/** What became of the packs that no index object named. */
export interface RebuiltIndex {
  /** Named now, with their chunks. */
  packs: number;
  chunks: number;
  /** The new index objects. */
  objects: string[];
  /** Packs whose own directory cannot be read either, with the reason. */
  unreadable: { name: string; reason: string }[];
}

/**
 * Names every pack that is in the store and in no index object that can be read, from its own directory. Nothing is replaced: what is named already
 * stays so, and a second run finds nothing to do. Packs that are about to be deleted are left alone.
 *
 * The caller holds a lease, so that no pruner works meanwhile on what was unreferenced a moment ago (rule A2). Memory: the entries of one
 * index object, and the index itself. Errors: those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function rebuildIndex(
  objects: SealedObjects,
  options: { scratchDirectory?: string; lease?: Lease; onPack?: () => void; signal?: AbortSignal } = {},
): Promise<RebuiltIndex> {
  objects.assertWritable();
  const result: RebuiltIndex = { packs: 0, chunks: 0, objects: [], unreadable: [] };
  const unnamed = await listUnnamedPacks(objects, options);
  let waiting: IndexedPack[] = [];
  let waitingChunks = 0;
  const flush = async () => {
    const packs = waiting;
    waiting = [];
    waitingChunks = 0;
    if (packs.length > 0) result.objects.push(...(await writeIndexObjects(objects, packs, options.lease)));
  };
  for (let first = 0; first < unnamed.length; first += LANES) {
    options.signal?.throwIfAborted();
    const found = await Promise.all(unnamed.slice(first, first + LANES).map((id) => readPack(objects, id, result)));
    for (const pack of found) {
      if (pack === null) continue;
      const count = pack.entries.length / PACK_ENTRY_BYTES;
      if (waitingChunks + count > INDEX_CHUNKS_MAX) await flush();
      waiting.push(pack);
      waitingChunks += count;
      result.packs += 1;
      result.chunks += count;
      options.onPack?.();
    }
  }
  await flush();
  return result;
}

async function listUnnamedPacks(objects: SealedObjects, options: { scratchDirectory?: string }): Promise<Buffer[]> {
  const index = await loadIndex(objects, options);
  try {
    const leaving = await listTombstonedPacks(objects);
    const prefix = kindPrefix('data-pack');
    const unnamed: Buffer[] = [];
    for await (const { name } of objects.store.list(prefix)) {
      const id = name.slice(prefix.length);
      if (!/^[0-9a-f]{64}$/.test(id) || leaving.has(id)) continue;
      const packId = Buffer.from(id, 'hex');
      if (index.packNumberOf(packId) === undefined) unnamed.push(packId);
    }
    return unnamed;
  } finally {
    index.close();
  }
}

async function readPack(objects: SealedObjects, packId: Buffer, result: RebuiltIndex): Promise<IndexedPack | null> {
  try {
    return await readPackDirectory(objects.store, objects.keys, packId);
  } catch (error) {
    if (isAbsent(error)) return null;
    if (!(error instanceof HoldfastError) || !UNREADABLE_CODES.has(error.code)) throw error;
    result.unreadable.push({
      name: kindPrefix('data-pack') + packId.toString('hex'),
      reason: error.detail ?? error.message,
    });
    return null;
  }
}

const UNREADABLE_CODES = new Set(['OBJECT_DAMAGED', 'OBJECT_TRUNCATED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT']);
