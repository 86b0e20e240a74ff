import { HoldfastError, type Progress, silentProgress } from '../../lib/index.ts';
import { HEADER_BYTES } from '../codec/index.ts';
import type { Lease } from '../lease/index.ts';
import { listPackEntries, type PackDirectory, readPackDirectory } from '../pack/index.ts';
import { ChunkPacker, PackDepot } from '../pipeline/index.ts';
import type { Repository } from '../repository.ts';
import type { PruneBudget } from './budget.ts';
import type { RepackedPack } from './propose-prune.ts';
import type { PruneState } from './prune-state.ts';

/** What came of storing live chunks again. */
export interface Repacked {
  /** All live chunks of these are elsewhere now, and indexed there. */
  readonly packs: readonly RepackedPack[];
  readonly bytes: number;
  /** Bytes of the new packs. */
  readonly storedBytes: number;
  /** Those that the budget did not reach, and those of which a chunk could not be read. */
  readonly left: readonly { readonly pack: RepackedPack; readonly why: 'budget' | 'damaged' }[];
}

/** What says that a chunk is not what was stored; anything else is the store's own trouble. */
const LOST_CODES = new Set(['CHUNK_ABSENT', 'CHUNK_DAMAGED', 'OBJECT_ABSENT', 'OBJECT_DAMAGED', 'OBJECT_TRUNCATED']);

/**
 * Stores the live chunks of packs in new ones, which are durable and indexed when it returns. The old packs are not touched.
 *
 * Errors: those of the store.
 */
export async function repackChunks(options: {
  repository: Repository;
  state: PruneState;
  packs: readonly RepackedPack[];
  /** What this run is to announce besides. */
  announce: readonly { readonly id: string }[];
  lease: Lease;
  budget: PruneBudget;
  progress?: Progress;
  signal?: AbortSignal;
}): Promise<Repacked> {
  const { repository, state, budget, signal, progress = silentProgress } = options;
  const { index } = state;
  const left: { pack: RepackedPack; why: 'budget' | 'damaged' }[] = [];
  if (options.packs.length === 0) return { packs: [], bytes: 0, storedBytes: 0, left };
  progress.begin('storing live chunks again', {
    unit: 'bytes',
    total: options.packs.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
  });
  // Here we are a writer like others, who counts on nothing that is announced, which the index knows, or that this run is about to announce: on neither of two packs
  // that have a chunk when one of them is emptied and the other one dead.
  for (const { id } of [...options.packs, ...options.announce]) index.markDoubtful(Buffer.from(id, 'hex'));
  for (const { id, stored } of state.facts.packs) if (stored === null) index.markDoubtful(Buffer.from(id, 'hex'));
  const depot = new PackDepot(repository, index, options.lease);
  const packers = {
    data: new ChunkPacker({ repository, index, depot, content: 'data' }),
    tree: new ChunkPacker({ repository, index, depot, content: 'tree' }),
  };
  const done: RepackedPack[] = [];
  let bytes = 0;
  try {
    for (const pack of options.packs) {
      signal?.throwIfAborted();
      // Time goes by while packs are read, so each is asked for when its turn comes.
      if (!budget.takeRepack(pack.liveBytes)) {
        left.push({ pack, why: 'budget' });
        continue;
      }
      try {
        bytes += await repackOne(repository, state, pack, packers);
        done.push(pack);
        progress.advance(pack.liveBytes);
      } catch (error) {
        if (!(error instanceof HoldfastError) || !LOST_CODES.has(error.code)) throw error;
        progress.note(`pack ${pack.id.slice(0, 12)} is left as it is: ${error.message}`);
        left.push({ pack, why: 'damaged' });
      }
    }
    await packers.data.finish();
    await packers.tree.finish();
  } finally {
    packers.data.abandon();
    packers.tree.abandon();
  }
  const storedBytes = packers.data.storedBytes + packers.tree.storedBytes;
  return { packs: done, bytes, storedBytes, left };
}

async function repackOne(
  { store, keys }: Repository,
  { index, live, reader }: PruneState,
  pack: RepackedPack,
  packers: Record<PackDirectory['content'], ChunkPacker>,
): Promise<number> {
  const packId = Buffer.from(pack.id, 'hex');
  const number = index.packNumberOf(packId)!;
  const { content, entries } = await readPackDirectory(store, keys, packId);
  let bytes = 0;
  for (const { id, frameLength } of listPackEntries(entries, HEADER_BYTES)) {
    if (!live.isAtHome(id, number)) continue;
    await packers[content].store(await reader.readChunk(id));
    bytes += frameLength;
  }
  return bytes;
}
