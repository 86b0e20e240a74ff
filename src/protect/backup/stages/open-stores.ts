import { type ChunkIndex, ChunkPacker, IngestPipeline, PackDepot, type Repository } from '../../../repository/index.ts';

/** Everything through which a backup writes chunks, opened together and given up together. */
export interface BackupStores extends AsyncDisposable {
  index: ChunkIndex;
  depot: PackDepot;
  ingest: IngestPipeline;
  tree: ChunkPacker;
}

/** Loads the index and starts the workers. Disposing ends the workers, also in the middle of the work. */
export async function openStores(options: {
  repository: Repository;
  workers: number;
  level: number;
}): Promise<BackupStores> {
  const { repository } = options;
  const index = await repository.loadIndex();
  const depot = new PackDepot(repository, index);
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
