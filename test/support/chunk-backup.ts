import { obeyTombstones } from '../../src/protect/backup/stages/obey-tombstones.ts';
import type { BackupStores } from '../../src/protect/backup/stages/open-stores.ts';
import {
  acquireLease,
  type ChunkIndex,
  ChunkPacker,
  commitSnapshot,
  type FinishedPack,
  listTreeChunks,
  newSnapshotId,
  newSpoolPath,
  PackDepot,
  PackWriter,
  type Repository,
  type SnapshotRecord,
  TreeWriter,
  writePending,
} from '../../src/repository/index.ts';

/** What a backup is made of: files by path, each of chunks. A chunk that is given by its identity is counted on as the base has it, unseen. */
export type ChunkFiles = Readonly<
  Record<string, readonly (Buffer | { readonly id: Buffer; readonly length: number })[]>
>;

/** Where a backup is, for whoever wants to stop it there. */
export type BackupMoment = 'begun' | 'loaded' | 'stored' | 'announced' | 'obeyed';

export interface ChunkBackupOptions {
  readonly at?: (moment: BackupMoment) => Promise<void>;
  readonly cluster?: string;
  readonly wal?: SnapshotRecord['wal'];
  /** Gives the lease up as soon as it has it, and never asks for it again: as one that always stands still right behind the question. */
  readonly withoutLease?: boolean;
}

/**
 * Takes a backup of chunks alone, in the order of a real one and by its parts: lease, index, packs, pending record, tombstones, lease, committed record. No server
 * and no thread takes part.
 */
export async function backUpChunks(
  repository: Repository,
  makeFiles: ChunkFiles | ((index: ChunkIndex) => Promise<ChunkFiles>),
  options: ChunkBackupOptions = {},
): Promise<SnapshotRecord> {
  const at = options.at ?? (async () => {});
  const lease = await acquireLease(repository, { purpose: 'backup' });
  const startedAt = new Date(repository.clock.now()).toISOString();
  if (options.withoutLease === true) await lease.release();
  try {
    await at('begun');
    const index = await repository.loadIndex();
    try {
      const depot = new PackDepot(repository, index, lease);
      await at('loaded');
      // The base is looked for once the index is loaded, as by a real one.
      const files = typeof makeFiles === 'function' ? await makeFiles(index) : makeFiles;
      const tree = await storeFiles(repository, index, depot, files);
      await at('stored');
      const snapshot: SnapshotRecord = {
        ...{ version: 1, id: newSnapshotId(), kind: 'base-backup', cluster: options.cluster ?? 'main' },
        ...{ writer: 'ab'.repeat(16), startedAt, completedAt: new Date(repository.clock.now()).toISOString() },
        ...{ tree, stored: { newChunks: 1, newBytes: 1, storedBytes: 1 }, details: {} },
        wal: options.wal ?? { system: '7', lineage: 'a'.repeat(64), timeline: 1, start: '0/1000028', end: '0/1000100' },
      };
      await writePending(repository, snapshot);
      await at('announced');
      const stores = { index, depot } as BackupStores;
      await obeyTombstones({ repository, stores, snapshot, lease, known: index.announced });
      await at('obeyed');
      if (options.withoutLease !== true) lease.assertHeld();
      await commitSnapshot(repository, snapshot);
      return snapshot;
    } finally {
      index.close();
    }
  } finally {
    await lease.release();
  }
}

/** A pack for each file, and one index object for all of them. */
async function storeFiles(
  repository: Repository,
  index: ChunkIndex,
  depot: PackDepot,
  files: ChunkFiles,
): Promise<SnapshotRecord['tree']> {
  const packer = new ChunkPacker({ repository, index, depot, content: 'tree' });
  const tree = new TreeWriter((raw) => packer.store(raw));
  const spool = await repository.store.spoolDirectory();
  const stored = new Set<string>();
  for (const path of Object.keys(files).sort()) {
    const extents = [];
    const raws: Buffer[] = [];
    for (const chunk of files[path]!) {
      const id = Buffer.isBuffer(chunk) ? repository.keys.identifyChunk(chunk) : chunk.id;
      extents.push({ form: 'chunk' as const, length: chunk.length, id, offset: 0 });
      const key = id.toString('hex');
      if (!Buffer.isBuffer(chunk) || stored.has(key) || index.has(id)) continue;
      stored.add(key);
      raws.push(chunk);
    }
    if (raws.length > 0) await depot.keep(makePack(repository, spool, raws));
    const size = extents.reduce((bytes, { length }) => bytes + length, 0);
    const content = { form: 'inline' as const, map: { extents, fingerprints: null } };
    await tree.add({ type: 'file', path: `data/${path}`, mode: 0o600, mtimeMs: 1, size, content });
  }
  const summary = await tree.finish();
  await packer.finish();
  return summary;
}

function makePack({ keys }: Repository, spool: string, raws: readonly Buffer[]): FinishedPack {
  const writer = new PackWriter({ keys, content: 'data', spoolPath: newSpoolPath(spool) });
  for (const raw of raws) writer.append(keys.identifyChunk(raw), raw, null);
  return writer.finish();
}

/** Reads every chunk of a snapshot by the index as it is now, or by one that was read before. Errors: as those of reading chunks. */
export async function readWholeSnapshot(
  repository: Repository,
  snapshot: Pick<SnapshotRecord, 'tree'>,
  loaded?: ChunkIndex,
): Promise<number> {
  const index = loaded ?? (await repository.loadIndex());
  const { readChunk } = repository.openChunkReader(index);
  let chunks = 0;
  try {
    for await (const { id } of listTreeChunks(snapshot.tree.root, readChunk)) {
      const raw = await readChunk(id);
      if (!repository.keys.identifyChunk(raw).equals(id))
        throw new Error('a chunk is another one than its identity says');
      chunks += 1;
    }
  } finally {
    if (loaded === undefined) index.close();
  }
  return chunks;
}
