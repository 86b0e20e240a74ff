import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../lib/index.ts';
import type { RequiredSettings } from '../wal/index.ts';

/** Who the server runs as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** A Unix socket's path may have so many bytes, the last one a zero (sun_path on Linux has 108, on macOS 104). */
const SOCKET_PATH_BYTES_MAX = 103;

const EVENT_TRIGGERS_MAJOR_MIN = 17;
const SUMMARIZE_WAL_MAJOR_MIN = 17;
const SYNC_SLOTS_MAJOR_MIN = 17;
const ARCHIVE_LIBRARY_MAJOR_MIN = 15;
const STARTUP_PROGRESS_MAJOR_MIN = 15;
const ACTIVE_ORIGINS_MAJOR_MIN = 18;

/**
 * Places for the progress of subscriptions, which is replayed too: with fewer than the old server had, recovery fails, and `pg_control` does not
 * tell how many those were. Each takes some hundred bytes.
 */
const ORIGINS_MAX = 1000;

/**
 * Settings under which a restored server can neither reach nor harm anything: it listens on a private socket only, archives
 * nothing, follows nobody, starts no subscriptions and no background workers of extensions, and fires no event triggers.
 * What WAL replay needs is taken from `pg_control` and from what the WAL itself says: with less, prepared transactions could not be brought
 * back.
 */
export function isolatedSettings(
  control: RequiredSettings,
  major: number,
  place: { runDirectory: string; port: number },
): Record<string, string> {
  const settings: Record<string, string> = {
    listen_addresses: '',
    port: String(place.port),
    unix_socket_directories: place.runDirectory,
    unix_socket_permissions: '0700',
    hba_file: join(place.runDirectory, 'pg_hba.conf'),
    ident_file: join(place.runDirectory, 'pg_ident.conf'),
    ssl: 'off',
    shared_preload_libraries: '',
    session_preload_libraries: '',
    local_preload_libraries: '',
    archive_mode: 'off',
    archive_command: '',
    primary_conninfo: '',
    primary_slot_name: '',
    synchronous_standby_names: '',
    max_logical_replication_workers: '0',
    hot_standby: 'off',
    autovacuum: 'off',
    jit: 'off',
    restart_after_crash: 'off',
    wal_level: 'replica',
    max_connections: String(control.maxConnections),
    max_worker_processes: String(control.maxWorkerProcesses),
    max_wal_senders: String(control.maxWalSenders),
    max_prepared_transactions: String(control.maxPreparedTransactions),
    max_locks_per_transaction: String(control.maxLocksPerTransaction),
    max_replication_slots: String(ORIGINS_MAX),
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '%m [%p] ',
    log_timezone: 'UTC',
    TimeZone: 'UTC',
    lc_messages: 'C',
    cluster_name: 'holdfast',
  };
  if (major >= ARCHIVE_LIBRARY_MAJOR_MIN) settings.archive_library = '';
  if (major >= STARTUP_PROGRESS_MAJOR_MIN) settings.log_startup_progress_interval = '1s';
  if (major >= EVENT_TRIGGERS_MAJOR_MIN) settings.event_triggers = 'off';
  if (major >= SUMMARIZE_WAL_MAJOR_MIN) settings.summarize_wal = 'off';
  if (major >= SYNC_SLOTS_MAJOR_MIN) settings.sync_replication_slots = 'off';
  if (major >= ACTIVE_ORIGINS_MAJOR_MIN) settings.max_active_replication_origins = String(ORIGINS_MAX);
  return settings;
}

/** The server refuses to start with less than two segments in `min_wal_size`; its defaults are 5 and 64 segments of 16 MB. */
const MIN_WAL_SEGMENTS = 5;
const MAX_WAL_SEGMENTS = 16;
const MAX_WAL_BYTES_MIN = 1 << 30;

/** Bounds of `pg_wal` that hold enough segments of the given size, in bytes. */
export function walSizeSettings(segmentBytes: number): Record<string, string> {
  const kilobytes = (bytes: number) => `${Math.ceil(bytes / 1024)}kB`;
  return {
    min_wal_size: kilobytes(MIN_WAL_SEGMENTS * segmentBytes),
    max_wal_size: kilobytes(Math.max(MAX_WAL_BYTES_MIN, MAX_WAL_SEGMENTS * segmentBytes)),
  };
}

/** The higher of each setting. A server that replays with a lower one may find no room for what the old server held. */
export function highestSettings(one: RequiredSettings | null, other: RequiredSettings): RequiredSettings {
  return {
    maxConnections: Math.max(one?.maxConnections ?? 0, other.maxConnections),
    maxWorkerProcesses: Math.max(one?.maxWorkerProcesses ?? 0, other.maxWorkerProcesses),
    maxWalSenders: Math.max(one?.maxWalSenders ?? 0, other.maxWalSenders),
    maxPreparedTransactions: Math.max(one?.maxPreparedTransactions ?? 0, other.maxPreparedTransactions),
    maxLocksPerTransaction: Math.max(one?.maxLocksPerTransaction ?? 0, other.maxLocksPerTransaction),
  };
}

/**
 * Settings for our own sessions. What `ALTER ROLE` and `ALTER DATABASE` have set lies in the data, comes back with it, and wins over every
 * configuration file; only what a session asks for itself wins over that.
 */
export function sessionSettings(major: number): Record<string, string> {
  return {
    session_preload_libraries: '',
    local_preload_libraries: '',
    role: 'none',
    statement_timeout: '0',
    lock_timeout: '0',
    idle_in_transaction_session_timeout: '0',
    ...(major >= EVENT_TRIGGERS_MAJOR_MIN ? { event_triggers: 'off' } : {}),
  };
}

/**
 * Makes the private directory of an instance and writes its configuration there, so that nothing restored is read.
 * Whoever can enter the directory can log in, hence its mode.
 */
export async function writeConfiguration(
  runDirectory: string,
  settings: Readonly<Record<string, string>>,
  owner: SystemUser | undefined,
): Promise<void> {
  const socketPath = join(runDirectory, `.s.PGSQL.${settings.port}`);
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX) {
    throw new HoldfastError('PG_SOCKET_PATH_TOO_LONG', `cannot make a Unix socket at "${socketPath}"`, {
      detail: `Expected a path of at most ${SOCKET_PATH_BYTES_MAX} bytes, found ${Buffer.byteLength(socketPath)}.`,
      hints: ['Choose a directory with a shorter path.'],
    });
  }
  await mkdir(runDirectory, { recursive: true, mode: 0o700 });
  await chmod(runDirectory, 0o700);
  const files: Record<string, string> = {
    'postgresql.conf': Object.entries(settings).map(formatSetting).join(''),
    'pg_hba.conf': 'local all all trust\nlocal replication all trust\n',
    'pg_ident.conf': '',
  };
  for (const [name, content] of Object.entries(files)) {
    const path = join(runDirectory, name);
    await writeFile(path, content, { mode: 0o600 });
    if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  }
  if (owner !== undefined) await chown(runDirectory, owner.uid, owner.gid);
}

function formatSetting([name, value]: [string, string]): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name) || /[\0\r\n]/.test(value)) {
    throw new HoldfastError('PG_SETTING_NAME_INVALID', `invalid setting "${name}"`, {
      detail: 'Expected a name of letters, digits and underscores, and a value in one line.',
    });
  }
  return `${name} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'\n`;
}
