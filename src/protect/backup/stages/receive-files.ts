import type { Clock, Progress } from '../../../lib/index.ts';
import {
  type BaseBackupResult,
  type BaseBackupStart,
  type ConnectionTarget,
  PageChecksumError,
  type PostgresConnection,
  receiveBaseBackup,
  withoutIncrementalFrom,
} from '../../../postgres/index.ts';
import type { IngestResult, Repository } from '../../../repository/index.ts';
import type { CollectedConfiguration } from '../configuration/index.ts';
import type { EntryTable } from '../entry-table.ts';
import { FileAssembler } from '../file-assembler.ts';
import { CONTROL_PATH, LABEL_PATH } from '../kept-files.ts';
import type { PreviousFiles } from '../previous/index.ts';
import { Reception } from '../reception.ts';
import type { ManifestCheck } from './check-manifest.ts';
import type { CheckedServer } from './check-server.ts';
import { keepConfiguration } from './keep-configuration.ts';
import type { BackupStores } from './open-stores.ts';
import { standbyErrorOf } from './standby-error.ts';
import { tellOfCheckpoint } from './tell-of-checkpoint.ts';

/** All that the server sent, by now in chunks. */
export interface ReceivedFiles {
  start: BaseBackupStart;
  endLsn: bigint;
  endTimeline: number;
  entries: EntryTable;
  /** What was new to the repository, without the tree. */
  stored: IngestResult;
  /** What the server's manifest says against them; null where it made none, as it did not send them. */
  manifest: ManifestCheck | null;
  backupLabel: string;
  /** `global/pg_control`, as it was when all else had been read. */
  controlFile: Buffer;
  /** The server's settings and where their files lie, with what of it could not be kept. */
  configuration: CollectedConfiguration;
  /** Bytes of all files. */
  bytes: number;
  /** Bytes that were read of them; fewer where only changes were sent. */
  readBytes: number;
  /** Of them, those that were found to be as the older backup has them. */
  unchangedBytes: number;
  /** The server's words about pages that fail their checksum; empty when there are none. */
  checksumFailures: readonly string[];
}

/** What receiving needs. */
export interface ReceiveOptions {
  repository: Repository;
  source: ConnectionTarget;
  connection: PostgresConnection;
  server: CheckedServer;
  stores: BackupStores;
  clock: Clock;
  progress: Progress;
  label?: string;
  checkpoint: 'fast' | 'spread';
  maxRate?: number;
  signal?: AbortSignal;
}

/**
 * Runs BASE_BACKUP and cuts what arrives into chunks. Returns when every new chunk is on its way to the store.
 *
 * `previous`: the files of an older backup, over whose maps these are written; null when there is none.
 */
export async function receiveFiles(
  options: ReceiveOptions & { previous: PreviousFiles | null },
): Promise<ReceivedFiles> {
  const { connection, server } = options;
  const assembler = beginAssembling(options.stores);
  const reception = new Reception(assembler, { ...options, increment: null });
  await tellOfCheckpoint(options);
  const ended = await runBaseBackup(options, { incremental: false }, reception).catch(async (error) => {
    throw server.isStandby ? await standbyErrorOf(error, connection) : error;
  });
  const manifest = await reception.end();
  const received = await finishReception(options, { ended, reception, assembler, manifest });
  return { ...received, bytes: reception.bytes };
}

/** Where the files of a backup go. */
export function beginAssembling(stores: BackupStores): FileAssembler {
  const { ingest: pipeline, index } = stores;
  return new FileAssembler({ pipeline, index, storeLeaf: (raw) => stores.tree.store(raw) });
}

/** Adds the configuration and waits until all is in chunks. Nothing more can be taken in afterwards. */
export async function finishReception(
  options: ReceiveOptions,
  parts: { ended: EndedBackup; reception: Reception; assembler: FileAssembler; manifest: ManifestCheck },
): Promise<Omit<ReceivedFiles, 'bytes'>> {
  const { reception, assembler, manifest } = parts;
  const { backup, checksumFailures } = parts.ended;
  const { entries } = assembler;
  const configuration = await keepConfiguration({
    ...options,
    assembler,
    received: reception.kept.configuration(entries),
  });
  const stored = await assembler.finish();
  return {
    start: backup,
    endLsn: backup.endLsn,
    endTimeline: backup.endTimeline,
    ...{ entries, stored, manifest, configuration, checksumFailures },
    backupLabel: withoutIncrementalFrom(reception.kept.get(LABEL_PATH).toString('utf8')),
    controlFile: reception.kept.get(CONTROL_PATH),
    readBytes: reception.bytes,
    unchangedBytes: assembler.collector.unchangedBytes,
  };
}

/** What the server said at the end. */
export interface EndedBackup {
  readonly backup: BaseBackupResult;
  readonly checksumFailures: readonly string[];
}

/** Runs BASE_BACKUP to its end. Errors: those of `receiveBaseBackup`, but for pages that fail their checksum. */
export async function runBaseBackup(
  { connection, ...options }: ReceiveOptions,
  { incremental }: { incremental: boolean },
  reception: Reception,
): Promise<EndedBackup> {
  const command = {
    label: options.label ?? 'holdfast base backup',
    checkpoint: options.checkpoint,
    // The fastest of the server's checksums, and one that we can compute beside everything else.
    manifestChecksums: 'CRC32C',
    // Of an increment the server can say only how large all files are.
    progress: !incremental,
    maxRateKilobytes: options.maxRate,
    tablespaceMap: true,
    incremental,
  } as const;
  try {
    return { backup: await receiveBaseBackup(connection, command, reception), checksumFailures: [] };
  } catch (error) {
    // Every byte has arrived. A backup with broken pages may be the only one left, so it is kept, and marked.
    if (error instanceof PageChecksumError) return { backup: error.backup, checksumFailures: error.failures };
    throw error;
  }
}
