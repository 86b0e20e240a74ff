import type { HoldfastError } from '../../lib/index.ts';
import type { ChunkReader } from '../index/index.ts';
import type { SnapshotRecord } from '../snapshot/index.ts';
import { walkTree } from '../tree/index.ts';
import type { LiveChunks } from './live-chunks.ts';
import { rootUnreadable } from './prune-error.ts';

type Root = Pick<SnapshotRecord, 'id' | 'tree'>;

/**
 * Walks the trees of roots, each node once however many share it, and marks what they need. Gives how many chunks of theirs are known to be lost.
 *
 * Errors: `PRUNE_ROOT_UNREADABLE` when a part of a tree cannot be read, or a chunk is missing and nothing says why; those of the store.
 */
export async function markRoots(
  roots: readonly Root[],
  live: LiveChunks,
  { readChunk }: Pick<ChunkReader, 'readChunk'>,
  options: { signal?: AbortSignal; onRoot?: () => void } = {},
): Promise<number> {
  let lost = 0;
  for (const { id: snapshot, tree } of roots) {
    options.signal?.throwIfAborted();
    const note = (id: Uint8Array) => {
      const unexplained = live.findUnexplained(id);
      if (unexplained !== null) throw chunkMissing(snapshot, unexplained);
      lost += 1;
    };
    const mark = (id: Buffer) => {
      const marked = live.mark(id);
      if (marked === 'lost') note(id);
      return marked;
    };
    await walkTree(tree, {
      fetch: readChunk,
      wants: (id) => !live.isLive(id),
      enter: (id) => (mark(id) === 'known' ? 'skip' : 'clean'),
      visit: (id) => mark(id) !== 'lost',
      lose: (_id, _part, error) => {
        throw treeUnreadable(snapshot, error);
      },
      leave: () => {},
    });
    options.onRoot?.();
  }
  return lost;
}

/**
 * Those of the snapshots that have a chunk which no root has and which is in announced packs alone. A writer may stand on such a snapshot, and its chunks are stored
 * again before it goes (`docs/prune.md`). What cannot be read of them is passed over: nobody can stand on it.
 */
export async function findOnAnnounced(
  snapshots: readonly Root[],
  live: LiveChunks,
  { readChunk }: Pick<ChunkReader, 'readChunk'>,
  options: { signal?: AbortSignal } = {},
): Promise<Set<string>> {
  const found = new Set<string>();
  // Nodes of which everything below was looked at, and is in packs that may be counted on.
  const clean = live.newBits();
  for (const { id: snapshot, tree } of snapshots) {
    options.signal?.throwIfAborted();
    const look = (id: Buffer): boolean => {
      if (live.isLive(id) || !live.isAnnouncedOnly(id)) return true;
      found.add(snapshot);
      return false;
    };
    await walkTree(tree, {
      fetch: readChunk,
      enter: (id) => {
        if (live.isLive(id) || clean.has(id)) return 'skip';
        return look(id) ? 'clean' : 'doubtful';
      },
      visit: look,
      lose: () => {},
      leave: (id, isClean) => {
        if (isClean) clean.add(id);
      },
    });
  }
  return found;
}

function treeUnreadable(snapshot: string, error: HoldfastError): HoldfastError {
  const detail = `Expected its whole tree, found: ${error.message}.${error.detail === undefined ? '' : ` ${error.detail}`}`;
  return rootUnreadable(`snapshot ${snapshot.slice(0, 12)}`, detail, error);
}

function chunkMissing(snapshot: string, where: Buffer | 'unknown'): HoldfastError {
  const found =
    where === 'unknown'
      ? 'found one that no index object names.'
      : `found that pack ${where.toString('hex').slice(0, 12)} is not there, and no record says why.`;
  return rootUnreadable(`snapshot ${snapshot.slice(0, 12)}`, `Expected every chunk of it, ${found}`);
}
