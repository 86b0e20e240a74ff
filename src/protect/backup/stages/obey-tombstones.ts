import { HoldfastError } from '../../../lib/index.ts';
import {
  ChunkPacker,
  ChunkReader,
  listTombstonedPacks,
  listTreeChunks,
  type Repository,
  type SnapshotRecord,
} from '../../../repository/index.ts';
import type { BackupStores } from './open-stores.ts';

/**
 * The writer's half of rule A2: what a pruner has announced to delete, and this snapshot needs, is stored again before it is committed.
 *
 * The pending record is written already, so a pruner that announces later sees it and spares these chunks; one that announced earlier is
 * seen here. Errors: `BACKUP_OVERTAKEN_BY_PRUNE` when a chunk is gone already; the backup has to be taken again.
 */
export async function obeyTombstones(options: {
  repository: Repository;
  stores: BackupStores;
  snapshot: SnapshotRecord;
}): Promise<void> {
  const { repository, stores, snapshot } = options;
  const covered = await listTombstonedPacks(repository);
  if (covered.size === 0) return;
  for (const pack of covered) stores.index.markDoubtful(Buffer.from(pack, 'hex'));
  const reader = new ChunkReader({ store: repository.store, keys: repository.keys, index: stores.index });
  const packers = {
    data: new ChunkPacker({ repository, index: stores.index, depot: stores.depot, content: 'data' }),
    tree: new ChunkPacker({ repository, index: stores.index, depot: stores.depot, content: 'tree' }),
  };
  try {
    for await (const { id, content } of listTreeChunks(snapshot.tree.root, reader.readChunk)) {
      if (!stores.index.has(id)) await packers[content].store(await reader.readChunk(id));
    }
  } catch (error) {
    if (error instanceof HoldfastError && error.code.startsWith('CHUNK_')) throw overtaken(error);
    throw error;
  } finally {
    await packers.data.finish();
    await packers.tree.finish();
  }
}

function overtaken(cause: HoldfastError): HoldfastError {
  return new HoldfastError(
    'BACKUP_OVERTAKEN_BY_PRUNE',
    'cannot finish the backup: a prune deleted what it counted on',
    {
      detail: `Expected every chunk of the backup to be there still, found: ${cause.message}.`,
      hints: ['Take the backup again; nothing older was harmed.'],
      retryable: true,
      cause,
    },
  );
}
