import type { HoldfastError, Progress } from '../../lib/index.ts';
import { type ChunkIndex, type Repository, type SnapshotRecord, walkTree } from '../../repository/index.ts';
import { Bits } from './bits.ts';
import { isStoreDenied, treeFetcher } from './tree-fetcher.ts';

/** What snapshots need of the packs. */
export interface Needs {
  /** By the number of the pack: a snapshot has a chunk in it, other copies included. */
  readonly packs: Bits;
  /** Snapshots of which something is not there or cannot be read, so that they have to be judged. */
  readonly suspects: ReadonlySet<string>;
}

/**
 * Walks the trees of snapshots, each part that several share once. A part that is lost makes its snapshot a suspect; whoever shares it is judged with
 * it. Memory: a bit for each chunk. Errors: those of the store; the signal's reason.
 */
export async function findNeeds(
  options: { repository: Repository; progress: Progress; signal?: AbortSignal },
  index: ChunkIndex,
  snapshots: readonly SnapshotRecord[],
): Promise<Needs> {
  const { progress, signal } = options;
  const packs = new Bits(index.packCount);
  const seen = new Bits(index.count);
  const suspects = new Set<string>();
  const fetch = treeFetcher(options.repository, index, signal);
  progress.begin('reading lists of files', { unit: 'chunks' });
  for (const { id: snapshot, tree } of snapshots) {
    /** Whether the chunk is known at all. */
    const need = (id: Buffer): boolean => {
      const locations = index.lookup(id);
      for (const { packNumber } of locations) packs.add(packNumber);
      if (locations.length === 0) suspects.add(snapshot);
      progress.advance(1);
      return locations.length > 0;
    };
    await walkTree(tree, {
      fetch,
      goesOn: isStoreDenied,
      wants: (id) => {
        const number = index.numberOf(id);
        return number !== null && !seen.has(number);
      },
      enter: (id) => {
        const number = index.numberOf(id);
        if (number !== null && seen.add(number)) return 'skip';
        return need(id) ? 'clean' : 'doubtful';
      },
      visit: need,
      lose: (_id: Buffer, _part: unknown, _error: HoldfastError) => void suspects.add(snapshot),
      leave: () => {},
    });
  }
  return { packs, suspects };
}
