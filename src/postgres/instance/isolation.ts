import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../lib/index.ts';
import type { ControlFile } from '../control-file.ts';

/** Who the server runs as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** A Unix socket's path may have so many bytes, the last one a zero (sun_path on Linux has 108, on macOS 104). */
const SOCKET_PATH_BYTES_MAX = 103;

const EVENT_TRIGGERS_MAJOR_MIN = 17;
const SUMMARIZE_WAL_MAJOR_MIN = 17;
const ARCHIVE_LIBRARY_MAJOR_MIN = 15;
const STARTUP_PROGRESS_MAJOR_MIN = 15;

/**
 * Settings under which a restored server can neither reach nor harm anything: it listens on a private socket only, archives
 * nothing, follows nobody, starts no subscriptions and no background workers of extensions, and fires no event triggers.
 * What WAL replay needs is taken from `pg_control`: with less, prepared transactions could not be brought back.
 */
export function isolatedSettings(
  control: ControlFile,
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
  return settings;
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
