import {
  type ChunkIndex,
  ChunkPacker,
  IngestPipeline,
  type Lease,
  PackDepot,
  type Repository,
  type ThreadStart,
} from '../../../repository/index.ts';

/** Everything through which a backup writes chunks, opened together and given up together. */
export interface BackupStores extends AsyncDisposable {
  index: ChunkIndex;
  depot: PackDepot;
  ingest: IngestPipeline;
  tree: ChunkPacker;
}

/** Loads the index and starts the workers, or has them started once there is enough for them. Disposing ends the workers, also in the middle of the work. */
export async function openStores(options: {
  repository: Repository;
  /** Of the run that writes. */
  lease: Lease;
  workers: number;
  level: number;
  /** Whether the workers give way to all other programs of this machine. */
  lowPriority?: boolean;
  threads?: ThreadStart;
}): Promise<BackupStores> {
  const { repository } = options;
  const index = await repository.loadIndex();
  const depot = new PackDepot(repository, index, options.lease);
  const ingest = await IngestPipeline.open({ ...options, index, depot });
  const tree = new ChunkPacker({ repository, index, depot, content: 'tree' });
  return {
    index,
    depot,
    ingest,
    tree,
    async [Symbol.asyncDispose]() {
      tree.abandon();
      await ingest.abandon();
      index.close();
    },
  };
}
