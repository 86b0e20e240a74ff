import { type Clock, HoldfastError } from '../../lib/index.ts';
import {
  type ConnectionTarget,
  connect,
  type PostgresConnection,
  PostgresError,
  type ServerVersion,
} from '../../postgres/index.ts';
import type {
  ArchiverFacts,
  ConfigurationError,
  DatabaseFacts,
  DatabaseLocale,
  ReplicationLogin,
  RoleFacts,
  ServerFacts,
  SettingFacts,
  SlotFacts,
} from './server-facts.ts';

/** Every parameter that a check or the set-up reads; those that a server does not have are left out. */
const SETTINGS = [
  ...['wal_level', 'fsync', 'full_page_writes', 'wal_log_hints', 'summarize_wal', 'max_wal_size', 'max_connections'],
  ...['max_wal_senders', 'max_replication_slots', 'max_slot_wal_keep_size', 'wal_keep_size', 'wal_sender_timeout'],
  ...['idle_replication_slot_timeout', 'archive_mode', 'archive_command', 'archive_library', 'archive_timeout'],
  ...['synchronous_standby_names', 'shared_preload_libraries', 'data_directory', 'config_file', 'hba_file', 'port'],
];

/** Databases beyond these are named as not looked at: each takes a connection of its own. */
const DATABASES_MAX = 50;

/** No question is worth more of the server's time. */
const STATEMENT_TIMEOUT = '30s';

/** Every cluster has this database unless somebody took pains to drop it. */
const COMMON_DATABASE = 'postgres';

const INSUFFICIENT_PRIVILEGE = '42501';
const DATABASE_ABSENT = 'PG_DATABASE_NOT_FOUND';

type Row = Readonly<Record<string, string | null>>;

/** Connects for SQL: to the target's database, else to the one that every cluster has. Errors: those of `connect`. */
export async function connectForSql(target: ConnectionTarget, clock: Clock): Promise<PostgresConnection> {
  const options = { clock, applicationName: 'holdfast_doctor', settings: { statement_timeout: STATEMENT_TIMEOUT } };
  try {
    return await connect(target, options);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== DATABASE_ABSENT) throw error;
    return await connect(target, { ...options, database: COMMON_DATABASE });
  }
}

/** Asks the server all that the checks need, in every database, and changes nothing. Errors: those of `connect` and of the server. */
export async function gatherServer(target: ConnectionTarget, clock: Clock): Promise<ServerFacts> {
  const connection = await connectForSql(target, clock);
  try {
    const facts = await askServer(connection, clock);
    return { ...facts, databases: await askDatabases(target, clock, connection) };
  } finally {
    await connection.close();
  }
}

/** The same without looking into each database, over a connection that is there. Errors: those of the server. */
export async function askServer(connection: PostgresConnection, clock: Clock): Promise<ServerFacts> {
  const version = connection.serverVersion;
  const isPrimary = connection.parameters.get('in_hot_standby') !== 'on';
  const control = await one(
    connection,
    `SELECT s.system_identifier, c.timeline_id, i.database_block_size, i.bytes_per_wal_segment, i.data_page_checksum_version
       FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_init() i`,
  );
  const position = isPrimary ? 'pg_current_wal_lsn()' : 'pg_last_wal_replay_lsn()';
  return {
    version,
    isPrimary,
    system: control.system_identifier ?? '',
    timeline: Number(control.timeline_id),
    blockBytes: Number(control.database_block_size),
    walSegmentBytes: Number(control.bytes_per_wal_segment),
    hasChecksums: control.data_page_checksum_version !== '0',
    settings: await askSettings(connection),
    slots: await askSlots(connection, position),
    senders: (await ask(connection, "SELECT coalesce(application_name, '') AS name FROM pg_stat_replication")).map(
      ({ name }) => ({ applicationName: name ?? '' }),
    ),
    archiver: await askArchiver(connection),
    walDirectoryBytes: await numberIfMay(connection, 'SELECT coalesce(sum(size), 0) AS n FROM pg_ls_waldir()'),
    waitingForArchive: await numberIfMay(
      connection,
      "SELECT count(*) AS n FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'",
    ),
    walBytesPerSecond: await numberIfMay(
      connection,
      `SELECT wal_bytes / nullif(extract(epoch FROM now() - stats_reset), 0) AS n FROM pg_stat_wal
        WHERE now() - stats_reset > interval '1 minute'`,
    ),
    preparedTransactions: (
      await ask(
        connection,
        'SELECT gid, database, extract(epoch FROM now() - prepared) * 1000 AS age FROM pg_prepared_xacts ORDER BY prepared',
      )
    ).map(({ gid, database, age }) => ({ name: gid ?? '', database: database ?? '', ageMs: Number(age) })),
    tablespaces: (
      await ask(
        connection,
        `SELECT spcname, pg_tablespace_location(oid) AS location FROM pg_tablespace
          WHERE pg_tablespace_location(oid) <> '' ORDER BY 1`,
      )
    ).map(({ spcname, location }) => ({ name: spcname ?? '', location: location ?? '' })),
    customResourceManagers: await askResourceManagers(connection, version),
    configurationErrors: await askConfigurationErrors(connection),
    locales: await askLocales(connection, version),
    databases: [],
    role: await askRole(connection),
    addresses: await askAddresses(connection),
    clockOffset: await measureClock(connection, clock),
  };
}

/** Logs in as a receiver and a base backup do. Never throws for what the server says: that is the answer. */
export async function tryReplication(target: ConnectionTarget, clock: Clock): Promise<ReplicationLogin> {
  try {
    const connection = await connect(target, {
      replication: 'physical',
      applicationName: 'holdfast_doctor',
      clock,
    });
    const { isEncrypted } = connection;
    await connection.close();
    return { kind: 'done', isEncrypted };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { kind: 'refused', code: error.code, sentence: [`${error.message}.`, error.detail ?? ''].join(' ').trim() };
  }
}

async function askSettings(connection: PostgresConnection): Promise<Map<string, SettingFacts>> {
  const names = SETTINGS.map((name) => `'${name}'`).join(', ');
  const rows = await ask(
    connection,
    `SELECT name, setting, coalesce(unit, '') AS unit, pending_restart,
            coalesce(sourcefile || ':' || sourceline, source) AS origin
       FROM pg_settings WHERE name IN (${names})`,
  );
  return new Map(
    rows.map(({ name, setting, unit, pending_restart, origin }) => [
      name ?? '',
      { value: setting ?? '', unit: unit ?? '', isPendingRestart: pending_restart === 't', origin: origin ?? '' },
    ]),
  );
}

/** By way of JSON, as later versions have columns that earlier ones lack. */
async function askSlots(connection: PostgresConnection, position: string): Promise<SlotFacts[]> {
  const rows = await ask(
    connection,
    `SELECT s.slot_name, s.slot_type, s.temporary, s.active, s.wal_status,
            to_jsonb(s) ->> 'invalidation_reason' AS invalidation, pg_wal_lsn_diff(${position}, s.restart_lsn) AS kept
       FROM pg_replication_slots s ORDER BY s.slot_name`,
  );
  return rows.map(({ slot_name, slot_type, temporary, active, wal_status, invalidation, kept }) => ({
    name: slot_name ?? '',
    isPhysical: slot_type === 'physical',
    isTemporary: temporary === 't',
    isActive: active === 't',
    walStatus: wal_status ?? null,
    invalidation: invalidation ?? null,
    keptBytes: kept == null ? null : Number(kept),
  }));
}

async function askArchiver(connection: PostgresConnection): Promise<ArchiverFacts> {
  const row = await one(
    connection,
    `SELECT extract(epoch FROM last_archived_time) * 1000 AS archived, extract(epoch FROM last_failed_time) * 1000 AS failed,
            last_failed_wal, failed_count
       FROM pg_stat_archiver`,
  );
  return {
    lastArchivedAt: row.archived == null ? null : Number(row.archived),
    lastFailedAt: row.failed == null ? null : Number(row.failed),
    lastFailedName: row.last_failed_wal ?? null,
    failedCount: Number(row.failed_count),
  };
}

/** pg_get_wal_resource_managers() came with version 15, as did resource managers of extensions. */
async function askResourceManagers(connection: PostgresConnection, { major }: ServerVersion): Promise<string[] | null> {
  if (major < 15) return [];
  const sql = 'SELECT rm_name FROM pg_get_wal_resource_managers() WHERE NOT rm_builtin';
  return (await askIfMay(connection, sql))?.map(({ rm_name }) => rm_name ?? '') ?? null;
}

async function askConfigurationErrors(connection: PostgresConnection): Promise<ConfigurationError[] | null> {
  const rows = await askIfMay(
    connection,
    // A value that waits for a restart is told as an error here, too; pg_settings says so better.
    `SELECT sourcefile, sourceline, name, error FROM pg_file_settings
      WHERE error IS NOT NULL AND error <> 'setting could not be applied'`,
  );
  return (
    rows?.map(({ sourcefile, sourceline, name, error }) => ({
      file: sourcefile ?? '',
      line: Number(sourceline),
      name: name ?? null,
      error: error ?? '',
    })) ?? null
  );
}

/** The columns have had other names in almost every version. */
async function askLocales(connection: PostgresConnection, { major }: ServerVersion): Promise<DatabaseLocale[]> {
  const actual = major >= 15 ? 'pg_database_collation_actual_version(d.oid)' : 'NULL::text';
  const rows = await ask(
    connection,
    `SELECT d.datname, j ->> 'datlocprovider' AS provider, j ->> 'datcollversion' AS made, ${actual} AS now,
            coalesce(j ->> 'datlocale', j ->> 'daticulocale', d.datcollate) AS locale
       FROM pg_database d, to_jsonb(d) j WHERE d.datallowconn ORDER BY 1`,
  );
  const providers: Readonly<Record<string, string>> = { c: 'libc', i: 'icu', b: 'builtin' };
  return rows.map(({ datname, provider, made, now, locale }) => ({
    database: datname ?? '',
    provider: providers[provider ?? 'c'] ?? 'libc',
    locale: locale ?? '',
    versions: made != null && now != null && made !== now ? { made, now } : null,
  }));
}

async function askRole(connection: PostgresConnection): Promise<RoleFacts> {
  const row = await one(
    connection,
    `SELECT rolname, rolsuper, rolreplication, pg_has_role(oid, 'pg_monitor', 'USAGE') AS monitors,
            CASE WHEN isfinite(rolvaliduntil) THEN extract(epoch FROM rolvaliduntil) * 1000 END AS until
       FROM pg_roles WHERE rolname = current_user`,
  );
  return {
    name: row.rolname ?? '',
    isSuperuser: row.rolsuper === 't',
    mayReplicate: row.rolreplication === 't' || row.rolsuper === 't',
    mayMonitor: row.monitors === 't',
    passwordValidUntil: row.until == null ? null : Number(row.until),
  };
}

async function askAddresses(connection: PostgresConnection): Promise<ServerFacts['addresses']> {
  const { client, server } = await one(
    connection,
    'SELECT host(inet_client_addr()) AS client, host(inet_server_addr()) AS server',
  );
  return client == null || server == null ? null : { client, server };
}

/** The server's time is taken between two looks at ours: it is off by at most half of what passed between them. */
async function measureClock(connection: PostgresConnection, clock: Clock): Promise<ServerFacts['clockOffset']> {
  const [before, started] = [clock.now(), clock.monotonic()];
  const { at } = await one(connection, 'SELECT extract(epoch FROM clock_timestamp()) * 1000 AS at');
  const uncertaintyMs = (clock.monotonic() - started) / 2;
  return { ms: Number(at) - (before + uncertaintyMs), uncertaintyMs };
}

async function askDatabases(
  target: ConnectionTarget,
  clock: Clock,
  connection: PostgresConnection,
): Promise<DatabaseFacts[]> {
  const rows = await ask(
    connection,
    'SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1',
  );
  const names = rows.map(({ datname }) => datname ?? '');
  const facts: DatabaseFacts[] = [];
  for (const [index, name] of names.entries()) {
    if (index < DATABASES_MAX) facts.push(await askDatabase(target, clock, name));
    else facts.push({ kind: 'unseen', name, why: `only the first ${DATABASES_MAX} databases are looked at` });
  }
  return facts;
}

async function askDatabase(target: ConnectionTarget, clock: Clock, name: string): Promise<DatabaseFacts> {
  try {
    const connection = await connect(target, {
      ...{ database: name, clock, applicationName: 'holdfast_doctor' },
      settings: { statement_timeout: STATEMENT_TIMEOUT },
    });
    try {
      const names = async (sql: string) => (await ask(connection, sql)).map((row) => row.name ?? '');
      return {
        ...{ kind: 'seen', name },
        unloggedTables: await names(
          `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relpersistence = 'u' AND c.relkind = 'r' ORDER BY 1`,
        ),
        staleCollations: await names(
          `SELECT format('%I.%I', n.nspname, c.collname) AS name FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
            WHERE c.collversion <> pg_collation_actual_version(c.oid) ORDER BY 1`,
        ),
      };
    } finally {
      await connection.close();
    }
  } catch (error) {
    // A database that does not let us in is told as one that was not looked at.
    if (error instanceof HoldfastError) return { kind: 'unseen', name, why: error.message };
    throw error;
  }
}

/** The rows of a question, by the names of their columns. Errors: those of the server. */
export async function ask(connection: PostgresConnection, sql: string): Promise<Row[]> {
  const result = (await connection.query(sql)).at(-1);
  if (result === undefined) return [];
  const names = result.columns.map(({ name }) => name);
  return result.rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])));
}

async function one(connection: PostgresConnection, sql: string): Promise<Row> {
  return (await ask(connection, sql))[0] ?? {};
}

/** `null` when the role has no right to know. */
export async function askIfMay(connection: PostgresConnection, sql: string): Promise<Row[] | null> {
  try {
    return await ask(connection, sql);
  } catch (error) {
    // Whoever may not see it is told so by the check that needs it.
    if (error instanceof PostgresError && error.sqlState === INSUFFICIENT_PRIVILEGE) return null;
    throw error;
  }
}

async function numberIfMay(connection: PostgresConnection, sql: string): Promise<number | null> {
  const value = (await askIfMay(connection, sql))?.[0]?.n;
  return value == null ? null : Number(value);
}
