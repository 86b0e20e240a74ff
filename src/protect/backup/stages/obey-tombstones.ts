import { HoldfastError } from '../../../lib/index.ts';
import {
  ChunkPacker,
  ChunkReader,
  type Lease,
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
 * seen here. `known`: what was announced before anything was counted on, and nothing of this snapshot is in those packs alone (`docs/prune.md`); when nothing else is
 * announced, there is nothing to be done. `alsoCovered`: packs that were announced when the caller looked before and that it counts on no more, whether their tombstones are still there or not.
 * `elsewhere` reads a chunk that the repository does not have any more.
 *
 * Errors: `BACKUP_OVERTAKEN_BY_PRUNE` when a chunk is gone already; `BACKUP_TOO_LONG`; the backup has to be taken again.
 */
export async function obeyTombstones(options: {
  repository: Repository;
  stores: BackupStores;
  snapshot: SnapshotRecord;
  lease: Lease;
  known: ReadonlySet<string>;
  alsoCovered?: ReadonlySet<string>;
  elsewhere?: (id: Uint8Array) => Promise<Buffer>;
}): Promise<void> {
  const { repository, stores, snapshot, lease, known, alsoCovered, elsewhere } = options;
  const covered = new Set([...(alsoCovered ?? []), ...(await listTombstonedPacks(repository))]);
  // Asked after the listing: a run that stood still between the two is too long, never too short.
  await lease.assertNotTooLong();
  if ([...covered].every((pack) => known.has(pack))) return;
  for (const pack of covered) stores.index.markDoubtful(Buffer.from(pack, 'hex'));
  const reader = new ChunkReader({ store: repository.store, keys: repository.keys, index: stores.index });
  const read = async (id: Uint8Array) => {
    try {
      return await reader.readChunk(id);
    } catch (error) {
      if (elsewhere === undefined || !isChunkLost(error)) throw error;
      return elsewhere(id);
    }
  };
  const packers = {
    data: new ChunkPacker({ repository, index: stores.index, depot: stores.depot, content: 'data' }),
    tree: new ChunkPacker({ repository, index: stores.index, depot: stores.depot, content: 'tree' }),
  };
  try {
    for await (const { id, content } of listTreeChunks(snapshot.tree.root, read)) {
      if (!stores.index.has(id)) await packers[content].store(await read(id));
    }
    await packers.data.finish();
    await packers.tree.finish();
  } catch (error) {
    if (isChunkLost(error)) throw overtaken(error);
    throw error;
  } finally {
    // What was begun and is not finished by now is of a run that failed.
    packers.data.abandon();
    packers.tree.abandon();
  }
}

function isChunkLost(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && error.code.startsWith('CHUNK_');
}

/** Walks through a snapshot's tree, so that the index knows which packs it counts on. Errors: those of reading the tree. */
export async function countChunks(options: {
  repository: Repository;
  stores: BackupStores;
  snapshot: SnapshotRecord;
}): Promise<void> {
  const { repository, stores, snapshot } = options;
  const reader = new ChunkReader({ store: repository.store, keys: repository.keys, index: stores.index });
  for await (const { id } of listTreeChunks(snapshot.tree.root, reader.readChunk)) stores.index.has(id);
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
