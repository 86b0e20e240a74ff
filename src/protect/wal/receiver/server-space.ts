import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type PostgresConnection, readControlFile } from '../../../postgres/index.ts';
import { sqlStateOf } from './link.ts';

/** What a slot holds back. */
export type SlotWalStatus = 'reserved' | 'extended' | 'unreserved' | 'lost';

/** What WAL takes on the server at a moment. Bytes; `null` for what the server would not say. */
export interface ServerSpace {
  /** What the slot holds back. */
  readonly slotBytes: bigint | null;
  readonly slotStatus: SlotWalStatus | null;
  /** How much more may be written until the slot is invalidated; `null` also where nothing limits it. */
  readonly safeBytes: bigint | null;
  /** All of `pg_wal`. */
  readonly walBytes: bigint | null;
  /** Free on the disk of `pg_wal`, where that is a disk of this machine. */
  readonly freeBytes: bigint | null;
}

/** Insufficient privilege. */
const PRIVILEGE_MISSING = '42501';

const WAL_STATUSES: readonly string[] = ['reserved', 'extended', 'unreserved', 'lost'];

/**
 * Asks over SQL what WAL takes on the server; `null` from a server of another system. The slot is shown to anyone; the size of `pg_wal` needs
 * pg_monitor.
 * Errors: those of the connection.
 */
export async function askAboutSpace(
  connection: PostgresConnection,
  options: { readonly slot: string | null; readonly systemId: string },
): Promise<ServerSpace | null> {
  const [system] = await connection.query('SELECT system_identifier FROM pg_control_system()');
  if (system?.rows[0]?.[0] !== options.systemId) return null;
  const slot = options.slot === null ? noSlot : await askAboutSlot(connection, options.slot);
  const { walBytes, dataDirectory } = await askAboutDirectory(connection);
  return { ...slot, walBytes, freeBytes: await findFreeBytes(dataDirectory, options.systemId) };
}

const noSlot = { slotBytes: null, slotStatus: null, safeBytes: null };

async function askAboutSlot(
  connection: PostgresConnection,
  slot: string,
): Promise<Pick<ServerSpace, 'slotBytes' | 'slotStatus' | 'safeBytes'>> {
  // The name of a slot has nothing in it that would have to be escaped.
  const [result] = await connection.query(`
    SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                           restart_lsn)::bigint, wal_status, safe_wal_size
    FROM pg_replication_slots WHERE slot_name = '${slot}'`);
  const [bytes, status, safe] = result?.rows[0] ?? [];
  return {
    slotBytes: bytes == null ? null : BigInt(bytes),
    slotStatus: status != null && WAL_STATUSES.includes(status) ? (status as SlotWalStatus) : null,
    safeBytes: safe == null ? null : BigInt(safe),
  };
}

async function askAboutDirectory(
  connection: PostgresConnection,
): Promise<{ walBytes: bigint | null; dataDirectory: string | null }> {
  try {
    const [result] = await connection.query(
      "SELECT coalesce(sum(size), 0)::bigint, current_setting('data_directory') FROM pg_ls_waldir()",
    );
    const [bytes, dataDirectory] = result?.rows[0] ?? [];
    return { walBytes: bytes == null ? null : BigInt(bytes), dataDirectory: dataDirectory ?? null };
  } catch (error) {
    if (sqlStateOf(error) !== PRIVILEGE_MISSING) throw error;
    return { walBytes: null, dataDirectory: null };
  }
}

/** The server may run on another machine, or in a container with paths of its own: only a directory that is proved to be its own counts. */
async function findFreeBytes(dataDirectory: string | null, systemId: string): Promise<bigint | null> {
  if (dataDirectory === null) return null;
  try {
    if ((await readControlFile(dataDirectory)).systemId !== systemId) return null;
    const { bavail, bsize } = await statfs(join(dataDirectory, 'pg_wal'), { bigint: true });
    return bavail * bsize;
  } catch {
    // Not here, or not for us to see.
    return null;
  }
}
