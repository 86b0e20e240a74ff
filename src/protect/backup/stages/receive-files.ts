import { type Clock, HoldfastError, type Progress, unreachable } from '../../../lib/index.ts';
import { type TarEntry, TarReader } from '../../../lib/tar/index.ts';
import {
  type BaseBackupResult,
  type BaseBackupStart,
  type ConnectionTarget,
  PageChecksumError,
  type PostgresConnection,
  receiveBaseBackup,
} from '../../../postgres/index.ts';
import type { IngestResult } from '../../../repository/index.ts';
import type { CollectedConfiguration, ReceivedConfiguration } from '../configuration/index.ts';
import type { EntryTable } from '../entry-table.ts';
import { FileAssembler } from '../file-assembler.ts';
import { timelineChanged } from './check-consistency.ts';
import { ManifestCheck } from './check-manifest.ts';
import type { CheckedServer } from './check-server.ts';
import { keepConfiguration } from './keep-configuration.ts';
import type { BackupStores } from './open-stores.ts';
import { standbyErrorOf } from './standby-error.ts';

const MANIFEST_PATH = 'meta/backup_manifest';
const LABEL_PATH = 'data/backup_label';
const CONTROL_PATH = 'data/global/pg_control';
/** What is kept in memory beside being stored. */
const KEPT_PATHS: ReadonlySet<string> = new Set([LABEL_PATH, CONTROL_PATH]);
/** A data file of a relation: a number, perhaps a fork and a segment. */
const RELATION_FILE =
  /^(data\/(base\/[0-9]+|global)|space\/[0-9]+\/[^/]+\/[0-9]+)\/[0-9]+(_(fsm|vm|init))?(\.[0-9]+)?$/;
const BLOCK_BYTES = 8192;
/** Files of settings in the data directory, or in a folder of it. */
const CONFIGURATION_FILE = /^data\/((?:[^/]+\/)?[^/]+\.conf)$/;
/** A file that is larger is none of these. */
const KEPT_FILE_BYTES_MAX = 1 << 20;
/** Of files of settings together; those beyond it are asked of the server, if the configuration names them. */
const SETTINGS_BYTES_MAX = 16 << 20;

/** All that the server sent, by now in chunks. */
export interface ReceivedFiles {
  start: BaseBackupStart;
  endLsn: bigint;
  endTimeline: number;
  entries: EntryTable;
  /** What was new to the repository, without the tree. */
  stored: IngestResult;
  /** What the server's manifest says against them. */
  manifest: ManifestCheck;
  backupLabel: string;
  /** `global/pg_control`, as it was when all else had been read. */
  controlFile: Buffer;
  /** The server's settings and where their files lie, with what of it could not be kept. */
  configuration: CollectedConfiguration;
  /** Bytes of all files. */
  bytes: number;
  /** The server's words about pages that fail their checksum; empty when there are none. */
  checksumFailures: readonly string[];
}

/** Runs BASE_BACKUP and cuts what arrives into chunks. Returns when every new chunk is on its way to the store. */
export async function receiveFiles(options: {
  source: ConnectionTarget;
  connection: PostgresConnection;
  server: CheckedServer;
  stores: BackupStores;
  clock: Clock;
  progress: Progress;
  label?: string;
  checkpoint?: 'fast' | 'spread';
  maxRate?: number;
  signal?: AbortSignal;
}): Promise<ReceivedFiles> {
  const { connection, server, stores, progress } = options;
  const assembler = new FileAssembler({ pipeline: stores.ingest, storeLeaf: (raw) => stores.tree.store(raw) });
  const reception = new Reception(assembler, { ...options, server });
  progress.begin('waiting for a checkpoint');
  const { backup, checksumFailures } = await runBaseBackup(connection, options, reception).catch(async (error) => {
    throw server.isStandby ? await standbyErrorOf(error, connection) : error;
  });
  const manifest = await reception.end();
  const configuration = await keepConfiguration({ ...options, assembler, received: reception.configuration() });
  const stored = await assembler.finish();
  return {
    start: backup,
    endLsn: backup.endLsn,
    endTimeline: backup.endTimeline,
    entries: assembler.entries,
    stored,
    manifest,
    backupLabel: reception.kept(LABEL_PATH).toString('utf8'),
    controlFile: reception.kept(CONTROL_PATH),
    configuration,
    bytes: reception.bytes,
    checksumFailures,
  };
}

async function runBaseBackup(
  connection: PostgresConnection,
  options: { label?: string; checkpoint?: 'fast' | 'spread'; maxRate?: number },
  reception: Reception,
): Promise<{ backup: BaseBackupResult; checksumFailures: readonly string[] }> {
  const command = {
    label: options.label ?? 'holdfast base backup',
    checkpoint: options.checkpoint ?? 'fast',
    // The fastest of the server's checksums, and one that we can compute beside everything else.
    manifestChecksums: 'CRC32C',
    progress: true,
    maxRateKilobytes: options.maxRate,
    tablespaceMap: true,
  } as const;
  try {
    return { backup: await receiveBaseBackup(connection, command, reception), checksumFailures: [] };
  } catch (error) {
    // Every byte has arrived. A backup with broken pages may be the only one left, so it is kept, and marked.
    if (error instanceof PageChecksumError) return { backup: error.backup, checksumFailures: error.failures };
    throw error;
  }
}

/** Takes the stream apart into files and directories and gives them their paths in the tree. */
class Reception {
  readonly #assembler: FileAssembler;
  readonly #progress: Progress;
  readonly #server: CheckedServer;
  readonly #signal: AbortSignal | undefined;
  readonly #kept = new Map<string, Buffer[]>();
  readonly #oidOfPath = new Map<string, number>();
  #prefix = '';
  #tar: TarReader | null = null;
  #keeping: Buffer[] | null = null;
  #manifest: ManifestCheck | null = null;
  #hasFile = false;
  #settingsBytes = 0;
  bytes = 0;

  constructor(
    assembler: FileAssembler,
    options: { progress: Progress; server: CheckedServer; signal?: AbortSignal | undefined },
  ) {
    this.#assembler = assembler;
    this.#progress = options.progress;
    this.#server = options.server;
    this.#signal = options.signal;
  }

  onStart(start: BaseBackupStart): void {
    // A standby that followed its primary to another timeline begins on the old one until it has replayed a checkpoint of the new.
    const { timeline } = this.#server.identity;
    if (this.#server.isStandby && start.timeline !== timeline) throw timelineChanged(start.timeline, timeline);
    let total = 0;
    for (const { oid, path, estimatedBytes } of start.tablespaces) {
      if (oid !== null && path !== null) this.#oidOfPath.set(path, oid);
      total += estimatedBytes ?? 0;
    }
    this.#progress.begin('reading data files', { unit: 'bytes', total });
  }

  onArchive({ name, tablespacePath }: { name: string; tablespacePath: string | null }): void {
    this.#tar?.end();
    this.#prefix = tablespacePath === null ? 'data' : `space/${this.#tablespaceOid(name, tablespacePath)}`;
    this.#assembler.addEntry({ type: 'directory', path: this.#prefix, mode: 0o700, mtimeMs: 0 });
    this.#tar = new TarReader({
      onEntry: (entry) => this.#beginEntry(entry),
      onBytes: (view) => this.#write(view),
      onEntryEnd: () => this.#endEntry(),
    });
  }

  onData(view: Buffer): void | Promise<void> {
    this.#signal?.throwIfAborted();
    this.#progress.advance(view.length);
    return this.#tar!.push(view);
  }

  onManifest(view: Buffer): void | Promise<void> {
    if (this.#manifest === null) {
      this.#tar?.end();
      this.#tar = null;
      this.#manifest = new ManifestCheck(this.#assembler.entries);
      this.#begin(MANIFEST_PATH, { mode: 0o600, mtimeMs: 0, size: null });
    }
    this.#manifest.push(view);
    return this.#write(view);
  }

  /** After the last byte. */
  async end(): Promise<ManifestCheck> {
    if (this.#manifest === null) throw incomplete('the manifest');
    this.#endEntry();
    if (!this.#kept.has(LABEL_PATH)) throw incomplete('the file "backup_label"');
    if (!this.#kept.has(CONTROL_PATH)) throw incomplete('the file "global/pg_control"');
    return this.#manifest;
  }

  /** The files of settings that came, as far as they lie in the data directory. */
  configuration(): ReceivedConfiguration {
    const texts = new Map<string, Buffer>();
    for (const path of this.#kept.keys()) {
      const name = CONFIGURATION_FILE.exec(path)?.[1];
      if (name !== undefined) texts.set(name, this.kept(path));
    }
    const has = (path: string) => this.#assembler.entries.hasFile(`data/${path}`);
    return { texts, has };
  }

  /** A file that was kept in memory too. */
  kept(path: string): Buffer {
    return Buffer.concat(this.#kept.get(path) ?? []);
  }

  #tablespaceOid(name: string, path: string): number {
    return this.#oidOfPath.get(path) ?? Number.parseInt(name, 10);
  }

  #beginEntry(entry: TarEntry): void {
    // PostgreSQL writes some directories of its own as "./pg_wal/archive_status".
    const path = `${this.#prefix}/${entry.path.replace(/^(\.\/)+/, '')}`;
    const { mode, size } = entry;
    const mtimeMs = entry.mtime * 1000;
    switch (entry.type) {
      case 'file':
        this.#begin(path, { mode, mtimeMs, size });
        break;
      case 'directory':
        this.#assembler.addEntry({ type: 'directory', path, mode, mtimeMs });
        break;
      case 'symbolic-link':
        this.#assembler.addEntry({ type: 'link', path, mode, mtimeMs, target: entry.linkTarget });
        break;
      case 'hard-link':
        throw hardLink(path);
      default:
        unreachable(entry.type);
    }
  }

  #begin(path: string, head: { mode: number; mtimeMs: number; size: number | null }): void {
    const paged = head.size !== null && head.size > 0 && head.size % BLOCK_BYTES === 0 && RELATION_FILE.test(path);
    this.#assembler.beginFile({ path, ...head, paged });
    this.#hasFile = true;
    if (this.#isKept(path, head.size ?? 0)) {
      this.#keeping = [];
      this.#kept.set(path, this.#keeping);
    }
  }

  #isKept(path: string, bytes: number): boolean {
    if (bytes > KEPT_FILE_BYTES_MAX) return false;
    if (KEPT_PATHS.has(path)) return true;
    if (!CONFIGURATION_FILE.test(path) || this.#settingsBytes + bytes > SETTINGS_BYTES_MAX) return false;
    this.#settingsBytes += bytes;
    return true;
  }

  #write(view: Buffer): void | Promise<void> {
    this.bytes += view.length;
    // A copy, as the view is good only for now.
    this.#keeping?.push(Buffer.from(view));
    return this.#assembler.write(view);
  }

  #endEntry(): void {
    if (!this.#hasFile) return;
    this.#assembler.endFile();
    this.#hasFile = false;
    this.#keeping = null;
  }
}

function hardLink(path: string): HoldfastError {
  return new HoldfastError('BACKUP_HARD_LINK', `cannot back up the hard link "${path}"`, {
    detail: 'Expected files, directories and symbolic links, as PostgreSQL sends them.',
  });
}

function incomplete(what: string): HoldfastError {
  return new HoldfastError('BACKUP_INCOMPLETE', `base backup ended without ${what}`, {
    detail: 'Expected every archive, the label and the manifest, as PostgreSQL sends them.',
    hints: ['Take the backup again; look into the log of the server if it happens twice.'],
  });
}
