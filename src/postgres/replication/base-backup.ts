import { HoldfastError } from '../../lib/index.ts';
import type { ExchangeHandlers, PostgresConnection, QueryResult } from '../connection/index.ts';
import { parseLsn } from '../lsn.ts';
import { PostgresError } from '../postgres-error.ts';
import { ArchiveDemultiplexer, SeparateArchives } from './base-backup-archives.ts';
import { type BaseBackupOptions, BRACKETED_OPTIONS_MAJOR_MIN, formatBaseBackupCommand } from './base-backup-command.ts';
import { onlyRow } from './rows.ts';

export type { BaseBackupOptions } from './base-backup-command.ts';

/** A tablespace of the backup. The cluster's own directory has neither oid nor path. */
export interface BaseBackupTablespace {
  readonly oid: number | null;
  readonly path: string | null;
  /** The server's estimate in bytes; null unless progress was asked for. */
  readonly estimatedBytes: number | null;
}

/** What is known when the backup begins. WAL from `startLsn` on is needed to restore it. */
export interface BaseBackupStart {
  readonly startLsn: bigint;
  readonly timeline: number;
  readonly tablespaces: readonly BaseBackupTablespace[];
}

/**
 * Takes a base backup as it arrives. Every view is good only until the method returns or its promise is settled; a promise
 * holds the server back.
 *
 * Order: `onStart` once, then for each archive `onArchive` and its bytes in any number of `onData`, then the manifest in any
 * number of `onManifest`. An archive ends where the next one or the manifest begins; nothing else marks its end. The archive
 * of the cluster's own directory comes last, and `global/pg_control` last in it.
 */
export interface BaseBackupSink {
  onStart(start: BaseBackupStart): void | Promise<void>;
  /** `name` is 'base.tar' or '<oid>.tar'; `tablespacePath` is null for the cluster's own directory. */
  onArchive(archive: { name: string; tablespacePath: string | null }): void | Promise<void>;
  /** Bytes of a tar archive in ustar form. A server of version 14 leaves out the two empty blocks at the end. */
  onData(view: Buffer): void | Promise<void>;
  onManifest(view: Buffer): void | Promise<void>;
  /** Bytes of all archives so far, as the server counts them; now and then. */
  onProgress?(bytes: number): void;
}

/** The backup is consistent once WAL up to `endLsn` is replayed. */
export interface BaseBackupResult extends BaseBackupStart {
  readonly endLsn: bigint;
  readonly endTimeline: number;
  /** What the server warned of, for example files that could not be read as they were. */
  readonly warnings: readonly string[];
}

/** Warnings beyond these are counted only: a broken disk can cause one for every page. */
const WARNINGS_MAX = 1000;

/**
 * Some pages fail their checksum, as the server found while it sent them. The files arrived and the backup came to its end:
 * `backup` says where, `failures` lists the server's words. It is evidence to be looked at, not a backup to rely on.
 */
export class PageChecksumError extends PostgresError {
  readonly backup: BaseBackupResult;
  readonly failures: readonly string[];

  constructor(cause: PostgresError, backup: BaseBackupResult) {
    super(cause.report, 'PG_PAGE_CHECKSUMS_FAILED', 'data pages on the server fail their checksum', {
      detail: backup.warnings[0] === undefined ? cause.message : `The server said first: ${backup.warnings[0]}.`,
      hints: [
        'Look for a failing disk; compare with an older backup before you repair anything.',
        'See pg_stat_database.checksum_failures for the databases that are concerned.',
      ],
      cause,
      retryable: false,
    });
    this.backup = backup;
    this.failures = backup.warnings;
  }
}

/**
 * Runs BASE_BACKUP and gives everything that arrives to `sink`. Servers from 15 on and the older protocol of 14 look the same.
 *
 * Errors: PG_PAGE_CHECKSUMS_FAILED (a `PageChecksumError`) when all has arrived but the server found broken pages: it says so
 *         only after the last byte and the end position; PG_SERVER_ERROR for any other refusal; PG_PROTOCOL_VIOLATION;
 *         PG_CONNECTION_CLOSED; what the sink throws (the connection is closed then).
 * Source: PostgreSQL manual, "Streaming Replication Protocol", BASE_BACKUP; basebackup_copy.c.
 */
export async function receiveBaseBackup(
  connection: PostgresConnection,
  options: BaseBackupOptions,
  sink: BaseBackupSink,
): Promise<BaseBackupResult> {
  const { major } = connection.serverVersion;
  const reception = new Reception(sink, major);
  try {
    await connection.execute(formatBaseBackupCommand(options, major), reception.handlers());
  } catch (error) {
    const backup = reception.result();
    if (backup !== undefined && isChecksumFailure(error)) throw new PageChecksumError(error, backup);
    throw error;
  }
  const backup = reception.result();
  if (backup === undefined) throw broken('The server ended the backup without an end position.');
  return backup;
}

/** Follows the order of the server's answer: start position, tablespaces, archives, end position. */
class Reception {
  readonly #sink: BaseBackupSink;
  readonly #serverMajor: number;
  readonly #warnings: string[] = [];
  #warningCount = 0;
  #position: { lsn: bigint; timeline: number } | undefined;
  #start: BaseBackupStart | undefined;
  #archives: ArchiveDemultiplexer | SeparateArchives | undefined;
  #end: { lsn: bigint; timeline: number } | undefined;

  constructor(sink: BaseBackupSink, serverMajor: number) {
    this.#sink = sink;
    this.#serverMajor = serverMajor;
  }

  handlers(): ExchangeHandlers {
    return {
      onResult: (result) => this.#onResult(result),
      onCopyOut: () => this.#archivesOf().onCopyOut(),
      onCopyData: (view) => this.#archivesOf().onCopyData(view),
      onCopyDone: () => this.#archivesOf().onCopyDone(),
      onNotice: (report) => {
        this.#warningCount++;
        if (this.#warnings.length < WARNINGS_MAX) this.#warnings.push(report.message.replaceAll(/\s*\n\s*/g, ' '));
      },
    };
  }

  result(): BaseBackupResult | undefined {
    if (this.#start === undefined || this.#end === undefined) return undefined;
    const left = this.#warningCount - this.#warnings.length;
    const warnings = left > 0 ? [...this.#warnings, `and ${left} more warnings`] : this.#warnings;
    return { ...this.#start, endLsn: this.#end.lsn, endTimeline: this.#end.timeline, warnings };
  }

  #onResult(result: QueryResult): void | Promise<void> {
    if (result.rows.length === 0) return;
    if (this.#position === undefined) {
      this.#position = readPosition(result);
      return;
    }
    if (this.#start === undefined) {
      const tablespaces = readTablespaces(result);
      this.#start = { startLsn: this.#position.lsn, timeline: this.#position.timeline, tablespaces };
      this.#archives =
        this.#serverMajor >= BRACKETED_OPTIONS_MAJOR_MIN
          ? new ArchiveDemultiplexer(this.#sink)
          : new SeparateArchives(this.#sink, tablespaces);
      return this.#sink.onStart(this.#start);
    }
    if (this.#end !== undefined) throw broken('The server sent more than one end position.');
    this.#archivesOf().checkComplete();
    this.#end = readPosition(result);
  }

  #archivesOf(): ArchiveDemultiplexer | SeparateArchives {
    if (this.#archives === undefined) throw broken('The server sent files before it said where the backup starts.');
    return this.#archives;
  }
}

function readPosition(result: QueryResult): { lsn: bigint; timeline: number } {
  const row = onlyRow([result], 'BASE_BACKUP');
  return { lsn: parseLsn(row.text('recptr')), timeline: row.integer('tli') };
}

function readTablespaces(result: QueryResult): BaseBackupTablespace[] {
  return result.rows.map((_, index) => {
    const row = onlyRow([{ ...result, rows: result.rows.slice(index, index + 1) }], 'BASE_BACKUP');
    return {
      oid: row.textOrNull('spcoid') === null ? null : row.integer('spcoid'),
      path: row.textOrNull('spclocation'),
      estimatedBytes: row.textOrNull('size') === null ? null : row.integer('size') * 1024,
    };
  });
}

/** ERRCODE_DATA_CORRUPTED, which BASE_BACKUP uses for nothing else once the end position was sent. */
function isChecksumFailure(error: unknown): error is PostgresError {
  return error instanceof PostgresError && error.sqlState === 'XX001';
}

function broken(detail: string): HoldfastError {
  return new HoldfastError('PG_PROTOCOL_VIOLATION', 'invalid answer to BASE_BACKUP', { detail });
}
