import type { Progress } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { readWalInventory } from '../../wal/index.ts';

/**
 * Says so when a server that is kept under one name is about to be kept under a second one. That is right for a copy of a server, which has the
 * same system identifier, and wrong for a slip of the pen: then retention, status and restores would each see a half.
 *
 * Errors: those of the store.
 */
export async function noteOtherNames(options: {
  repository: Repository;
  progress: Progress;
  system: string;
  cluster: string;
}): Promise<void> {
  const { repository, progress, system, cluster } = options;
  const { lineages } = await readWalInventory(repository, system);
  const names = new Set(lineages.map(({ header }) => header.cluster));
  if (names.size === 0 || names.has(cluster)) return;
  const others = [...names].map((name) => `"${name}"`).join(', ');
  progress.note(
    `a server of this system identifier is kept as ${others} already, and now as "${cluster}" too: right for a copy of it, otherwise name it with --cluster`,
  );
}
