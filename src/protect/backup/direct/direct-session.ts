import type { Clock, HoldfastError } from '../../../lib/index.ts';
import {
  type ConnectionTarget,
  connect,
  type PostgresConnection,
  PostgresError,
  parseLsn,
  quoteIdentifier,
  quoteLiteral,
} from '../../../postgres/index.ts';
import { rightsMissing } from './direct-error.ts';

/** Every cluster has this database unless somebody took pains to drop it. */
const COMMON_DATABASE = 'postgres';
const UNDEFINED_DATABASE = '3D000';
const INSUFFICIENT_PRIVILEGE = '42501';

/** The last major in which the functions have their old names. */
const OLD_NAMES_MAJOR_MAX = 14;

/** The functions that a role must be allowed to execute, in the database to which the session connects. */
export function functionsOfDirect(serverMajor: number): readonly string[] {
  return serverMajor <= OLD_NAMES_MAJOR_MAX
    ? ['pg_start_backup(text, boolean, boolean)', 'pg_stop_backup(boolean, boolean)']
    : ['pg_backup_start(text, boolean)', 'pg_backup_stop(boolean)'];
}

/** What the server says at the end. The files stand in no data directory: they belong into the backup only. */
export interface StoppedBackup {
  readonly endLsn: bigint;
  readonly backupLabel: string;
  readonly tablespaceMap: string;
}

/**
 * The SQL session of a direct read. While it lives after `start`, the server is in backup mode; when it ends without `stop`, the server leaves that mode by
 * itself, and no backup was made.
 *
 * Source: PostgreSQL manual, "Making a Base Backup Using the Low Level API"; the names of 14 are those of its non-exclusive form.
 */
export class DirectSession implements AsyncDisposable {
  readonly #connection: PostgresConnection;
  readonly #database: string;
  readonly #isOld: boolean;

  private constructor(connection: PostgresConnection, database: string) {
    this.#connection = connection;
    this.#database = database;
    this.#isOld = connection.serverVersion.major <= OLD_NAMES_MAJOR_MAX;
  }

  /** Connects for SQL to the database that the target names, else to `postgres`. Errors: those of `connect`. */
  static async open(options: {
    source: ConnectionTarget;
    clock: Clock;
    signal?: AbortSignal | undefined;
  }): Promise<DirectSession> {
    const { source, clock, signal } = options;
    // A checkpoint that is spread takes minutes, and nothing is said here while files are read.
    const settings = { statement_timeout: '0', lock_timeout: '0', idle_session_timeout: '0' };
    const common = { applicationName: 'holdfast_backup_direct', clock, signal, settings };
    try {
      return new DirectSession(await connect(source, common), source.database);
    } catch (error) {
      if (!(error instanceof PostgresError) || error.sqlState !== UNDEFINED_DATABASE) throw error;
      return new DirectSession(await connect(source, { ...common, database: COMMON_DATABASE }), COMMON_DATABASE);
    }
  }

  /** The server's own process for this session. */
  get processId(): number {
    return this.#connection.processId;
  }

  /** Whom it is spoken to, in words. */
  get server(): string {
    const { host, hostAddress, port } = this.#connection.target.parts.servers[0];
    return `${host === '' ? (hostAddress ?? '') : host}:${port}`;
  }

  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** Settled when the session has ended, for whatever reason. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  /** Where the server says that its files are. Errors: BACKUP_DIRECT_RIGHTS. */
  async dataDirectory(): Promise<string> {
    try {
      return await this.#value('SHOW data_directory');
    } catch (error) {
      if (!(error instanceof PostgresError) || error.sqlState !== INSUFFICIENT_PRIVILEGE) throw error;
      const grants = [`GRANT pg_monitor TO ${this.#role};`, this.#functionGrant];
      throw this.#rightsMissing('see the setting data_directory', grants, error);
    }
  }

  /** Makes sure that `start` will be allowed. Errors: BACKUP_DIRECT_RIGHTS. */
  async requireRights(): Promise<void> {
    const allowed = this.#functions.map((name) => `pg_catalog.has_function_privilege('pg_catalog.${name}', 'EXECUTE')`);
    const [result] = await this.#connection.query(`SELECT (${allowed.join(' AND ')})::text`);
    if (result!.rows[0]![0] !== 'true') {
      throw this.#rightsMissing('begin and end a backup over SQL', [this.#functionGrant], undefined);
    }
  }

  /**
   * Has the server write a file into its data directory, by an exported snapshot; the file goes when `during` is over. Gives what that gave.
   *
   * `name`: relative to the data directory.
   */
  async withMark<Value>(during: (name: string) => Promise<Value>): Promise<Value> {
    const results = await this.#connection.query('BEGIN; SELECT pg_catalog.pg_export_snapshot()');
    try {
      return await during(`pg_snapshots/${results.at(-1)!.rows[0]![0]!}`);
    } finally {
      await this.#connection.query('ROLLBACK');
    }
  }

  /** Puts the server into backup mode, after a checkpoint; gives the position from which WAL is needed. Errors: PG_SERVER_ERROR. */
  async start(options: { label: string; checkpoint: 'fast' | 'spread' }): Promise<bigint> {
    const [label, isFast] = [quoteLiteral(options.label), options.checkpoint === 'fast'];
    const call = this.#isOld ? `pg_start_backup(${label}, ${isFast}, false)` : `pg_backup_start(${label}, ${isFast})`;
    return parseLsn(await this.#value(`SELECT pg_catalog.${call}`));
  }

  /** Ends backup mode, without waiting for an archiver. Errors: as `start`. */
  async stop(): Promise<StoppedBackup> {
    const call = this.#isOld ? 'pg_stop_backup(false, false)' : 'pg_backup_stop(false)';
    const [result] = await this.#connection.query(`SELECT lsn, labelfile, spcmapfile FROM pg_catalog.${call}`);
    const [lsn, label, map] = result!.rows[0]!;
    return { endLsn: parseLsn(lsn!), backupLabel: label ?? '', tablespaceMap: map ?? '' };
  }

  /** How far WAL is durable on the server; of a standby, how far it has received or replayed. No page on its disk may be newer. */
  async flushLsn(): Promise<bigint> {
    const sql = `
      SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
        THEN GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
        ELSE pg_catalog.pg_current_wal_flush_lsn() END`;
    return parseLsn(await this.#value(sql));
  }

  /** The databases that have something in a tablespace, by OID; null when there is no such tablespace any more. */
  async databasesIn(tablespaceOid: number): Promise<readonly string[] | null> {
    const sql = `
      SELECT (SELECT pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.pg_tablespace_databases(oid)), ' '))
      FROM pg_catalog.pg_tablespace WHERE oid = ${tablespaceOid}`;
    const [result] = await this.#connection.query(sql);
    const row = result!.rows[0];
    return row === undefined ? null : (row[0] ?? '').split(' ').filter((oid) => oid !== '');
  }

  /** Bytes of all tablespaces, for a progress bar; null for a role that may not ask. */
  async clusterBytes(): Promise<number | null> {
    try {
      const sql = 'SELECT sum(pg_catalog.pg_tablespace_size(oid))::text FROM pg_catalog.pg_tablespace';
      return Number(await this.#value(sql));
    } catch (error) {
      // A tablespace may have gone meanwhile, or be closed to the role.
      if (error instanceof PostgresError) return null;
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection.close();
  }

  get #role(): string {
    return quoteIdentifier(this.#connection.target.user);
  }

  get #functions(): readonly string[] {
    return functionsOfDirect(this.#connection.serverVersion.major);
  }

  get #functionGrant(): string {
    return `GRANT EXECUTE ON FUNCTION ${this.#functions.join(', ')} TO ${this.#role};`;
  }

  /** The one value of a statement's one row. */
  async #value(sql: string): Promise<string> {
    const [result] = await this.#connection.query(sql);
    return result!.rows[0]![0]!;
  }

  #rightsMissing(wish: string, grants: readonly string[], cause: unknown): HoldfastError {
    // Rights on functions hold in one database only.
    return rightsMissing(wish, [`\\connect ${quoteIdentifier(this.#database)}`, ...grants], cause);
  }
}
