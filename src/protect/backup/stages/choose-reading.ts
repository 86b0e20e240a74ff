import { INCREMENTS_MAJOR_MIN } from '../../../postgres/index.ts';
import { ChunkReader, type Repository } from '../../../repository/index.ts';
import { readWalInventory } from '../../wal/index.ts';
import { whyNoBlockNumbers } from '../file-size.ts';
import { choosePrevious, type PreviousFiles } from '../previous/index.ts';
import type { CheckedServer } from './check-server.ts';
import type { BackupStores } from './open-stores.ts';
import type { SecuredWal } from './secured-wal.ts';
import { whyWalIsBroken } from './wal-since-base.ts';

/** What is asked for: changes where they can be had, or everything. */
export type BackupType = 'incremental' | 'full';

/** How the server is to be read. */
export type Reading =
  | { readonly manner: 'increment'; readonly base: PreviousFiles }
  | {
      readonly manner: 'everything';
      /** The older backup over whose maps what is read is written (rule C4); null when there is none. */
      readonly over: PreviousFiles | null;
      /** Why no increment, as a sentence without its full stop; null when everything was asked for. */
      readonly why: string | null;
    };

/** Looks for the older backup upon which the new one can stand. Errors: WAL_LINEAGE_ABSENT; those of the store. */
export async function chooseReading(options: {
  repository: Repository;
  stores: BackupStores;
  server: CheckedServer;
  cluster: string;
  wal: Pick<SecuredWal, 'lineage' | 'streamsFrom'>;
  type: BackupType;
}): Promise<Reading> {
  const { repository, server, cluster, wal, type } = options;
  const { lineage } = wal;
  const { index } = options.stores;
  const { readChunk } = new ChunkReader({ store: repository.store, keys: repository.keys, index });
  const { systemId: system, timeline } = server.identity;
  const wanted = { repository, index, readChunk, cluster, system, lineage, timeline };
  let why = type === 'full' ? null : whyNoIncrements(server);
  let over: PreviousFiles | null = null;
  if (type === 'incremental' && why === null) {
    const base = await choosePrevious({ ...wanted, purpose: 'increment' });
    why = base.why ?? (await whyNotStreamed(repository, wal, base.files));
    if (base.files !== null && why === null) return { manner: 'increment', base: base.files };
    over = base.files;
  }
  over ??= (await choosePrevious({ ...wanted, purpose: 'comparison' })).files;
  return { manner: 'everything', over, why };
}

/** Where the backup brings its own WAL, what lies before that must have been stored by others: seen here, the server need not be asked in vain. */
async function whyNotStreamed(
  repository: Repository,
  { streamsFrom }: Pick<SecuredWal, 'streamsFrom'>,
  base: PreviousFiles,
): Promise<string | null> {
  if (streamsFrom === null) return null;
  const { snapshot } = base;
  const why = whyWalIsBroken(await readWalInventory(repository, snapshot.wal.system), snapshot, streamsFrom);
  return why === null ? null : `no WAL receiver ran all the time: ${why}`;
}

function whyNoIncrements({ version, settings }: CheckedServer): string | null {
  const whyNoBlocks = whyNoBlockNumbers(settings);
  if (whyNoBlocks !== null) return whyNoBlocks;
  if (version.major < INCREMENTS_MAJOR_MIN) {
    return `PostgreSQL ${version.major} cannot tell what changed, which it can from ${INCREMENTS_MAJOR_MIN} on`;
  }
  return settings.summarize_wal === 'on' ? null : 'summarize_wal is off on the server';
}
