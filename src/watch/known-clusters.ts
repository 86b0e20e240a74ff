import { readWalInventory, type WalInventory } from '../protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../repository/index.ts';

/** The names of the clusters of which the repository keeps a snapshot or WAL, in alphabetical order. Errors: those of the store. */
export async function listClusters(repository: Repository): Promise<string[]> {
  const { snapshots } = await repository.listSnapshots();
  return knownClusters(snapshots, await readWalInventory(repository));
}

/** The same from what was read already. */
export function knownClusters(snapshots: readonly SnapshotRecord[], inventory: WalInventory): string[] {
  const names = [...snapshots.map(({ cluster }) => cluster), ...inventory.lineages.map(({ header }) => header.cluster)];
  return [...new Set(names)].sort();
}
