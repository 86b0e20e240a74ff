import { HoldfastError } from '../../../lib/index.ts';
import {
  checkServerVersion,
  type IdentifiedSystem,
  INCREMENTS_MAJOR_MIN,
  identifySystem,
  type PostgresConnection,
  type ServerVersion,
  showSetting,
} from '../../../postgres/index.ts';

/** The block size that page fingerprints, extents and PostgreSQL's own increments are made for. */
const BLOCK_BYTES = 8192;

/** What a backup has to know of the server before it begins. */
export interface CheckedServer {
  version: ServerVersion;
  identity: IdentifiedSystem;
  segmentSize: number;
  /** True while the server is in recovery: then it is a standby, and the backup ends without a record of its own in the WAL. */
  isStandby: boolean;
  settings: Record<string, string>;
}

/** Settings that explain a backup later; all may be shown to a user that may only replicate. */
const KEPT_SETTINGS = [
  ...['server_version', 'wal_level', 'data_checksums', 'wal_segment_size', 'block_size', 'data_directory_mode'],
  ...['full_page_writes', 'wal_log_hints', 'max_connections', 'max_worker_processes', 'max_wal_senders'],
  ...['max_prepared_transactions', 'max_locks_per_transaction', 'server_encoding', 'lc_collate', 'TimeZone'],
  ...['segment_size', 'summarize_wal'],
];

/**
 * Refuses, before anything is written, a server whose backup could not be restored.
 *
 * Errors: `PG_VERSION_UNSUPPORTED`, `PG_BLOCK_SIZE_UNSUPPORTED`, `PG_WAL_LEVEL_TOO_LOW`.
 */
export async function checkServer(connection: PostgresConnection): Promise<CheckedServer> {
  const version = connection.serverVersion;
  checkServerVersion(version);
  const settings: Record<string, string> = {};
  for (const name of KEPT_SETTINGS) {
    // lc_collate is no setting any more since PostgreSQL 16.
    if (name === 'lc_collate' && version.major >= 16) continue;
    if (name === 'summarize_wal' && version.major < INCREMENTS_MAJOR_MIN) continue;
    settings[name] = await showSetting(connection, name);
  }
  if (Number(settings.block_size) !== BLOCK_BYTES) throw blockSizeRefused(settings.block_size!);
  if (settings.wal_level === 'minimal') throw walLevelRefused();
  return {
    version,
    identity: await identifySystem(connection),
    segmentSize: parseSize(settings.wal_segment_size!),
    isStandby: (await showSetting(connection, 'in_hot_standby')) === 'on',
    settings,
  };
}

const UNIT_BYTES: Record<string, number> = { B: 1, kB: 1 << 10, MB: 1 << 20, GB: 1 << 30 };

/** Reads a size as `SHOW` prints it, such as `16MB`. */
function parseSize(text: string): number {
  const match = /^([0-9]+)(B|kB|MB|GB)?$/.exec(text);
  const unit = UNIT_BYTES[match?.[2] ?? 'B'];
  if (match === null || unit === undefined) {
    throw new HoldfastError('PG_SETTING_UNREADABLE', `cannot read the size "${text}"`, {
      detail: 'Expected a number with B, kB, MB or GB, as SHOW wal_segment_size prints it.',
    });
  }
  return Number(match[1]) * unit;
}

function blockSizeRefused(found: string): HoldfastError {
  return new HoldfastError('PG_BLOCK_SIZE_UNSUPPORTED', `cannot back up a server with block size ${found}`, {
    detail: `Expected ${BLOCK_BYTES} bytes, found ${found}. The block size is fixed when PostgreSQL is compiled.`,
    hints: [
      'Move the databases with pg_dump to a server with pages of 8 KiB, as all packages of PostgreSQL have them.',
    ],
  });
}

function walLevelRefused(): HoldfastError {
  return new HoldfastError('PG_WAL_LEVEL_TOO_LOW', 'cannot back up a server with wal_level "minimal"', {
    detail: 'Expected "replica" or "logical": with "minimal" the WAL lacks what a restore needs.',
    hints: ["Run ALTER SYSTEM SET wal_level = 'replica' and restart the server."],
  });
}
