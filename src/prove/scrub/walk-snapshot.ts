import { HoldfastError } from '../../lib/index.ts';
import {
  type ChunkIndex,
  type ChunkLocation,
  ChunkReader,
  type Repository,
  readFileMap,
  readTree,
  type SnapshotRecord,
} from '../../repository/index.ts';

/** What a walk tells of each chunk that a snapshot needs. */
export interface ChunkNeed {
  /** The file it belongs to; `null` for the tree itself. */
  readonly path: string | null;
  /** Every stored copy; empty when the repository does not have it. */
  readonly locations: readonly ChunkLocation[];
}

/** What ends a walk early and speaks about the snapshot, not about the store. */
const treeCodes = new Set(['CHUNK_DAMAGED', 'CHUNK_ABSENT', 'TREE_INVALID']);

/**
 * Visits every chunk that a snapshot is made of: nodes, map leaves, contents. Neighbouring extents of one chunk count once.
 *
 * Gives `null`, or the error that kept the tree from being read to its end.
 * Errors: those of the store; the signal's reason.
 */
export async function walkSnapshot(
  repository: Repository,
  index: ChunkIndex,
  snapshot: SnapshotRecord,
  visit: (need: ChunkNeed) => void,
  signal: AbortSignal | undefined,
): Promise<HoldfastError | null> {
  const reader = new ChunkReader({ store: repository.store, keys: repository.keys, index });
  const fetch = (id: Uint8Array) => {
    signal?.throwIfAborted();
    visit({ path: null, locations: index.lookup(id) });
    return reader.readChunk(id);
  };
  try {
    for await (const entry of readTree(snapshot.tree.root, fetch)) {
      if (entry.type !== 'file') continue;
      let previous: Buffer | null = null as Buffer | null;
      for await (const map of readFileMap(entry, fetch)) {
        for (const extent of map.extents) {
          if (extent.form === 'zero' || previous?.equals(extent.id) === true) continue;
          previous = extent.id;
          visit({ path: entry.path, locations: index.lookup(extent.id) });
        }
      }
    }
    return null;
  } catch (error) {
    if (error instanceof HoldfastError && treeCodes.has(error.code)) return error;
    throw error;
  }
}
