import { randomBytes } from 'node:crypto';
import { createPhysicalSlot, type PostgresConnection, PostgresError } from '../../../postgres/index.ts';
import { serverSideName } from '../../wal/index.ts';
import type { CheckedServer } from './check-server.ts';

/** All slots of the server are in use, or it has none to give (`max_replication_slots = 0`). */
const NO_SLOT_STATES: ReadonlySet<string> = new Set(['53400', '55000']);

/** Bytes of a slot's name that are left for the cluster: the longest name has 63 bytes, and ours adds 18. */
const NAME_BYTES_MAX = 45;

/**
 * Lets a standby keep the WAL of the backup until it was compared with what is stored: a slot that goes with the connection.
 *
 * Gives the slot's name; null for a primary, which needs none, and for a standby without a free slot, which then keeps the WAL or does not.
 * Errors: PG_SERVER_ERROR.
 */
export async function keepWal(
  connection: PostgresConnection,
  options: { server: CheckedServer; cluster: string },
): Promise<string | null> {
  if (!options.server.isStandby) return null;
  const name = `${serverSideName(options.cluster).slice(0, NAME_BYTES_MAX)}_${randomBytes(8).toString('hex')}`;
  try {
    await createPhysicalSlot(connection, name, { temporary: true });
    return name;
  } catch (error) {
    if (error instanceof PostgresError && NO_SLOT_STATES.has(error.sqlState)) return null;
    throw error;
  }
}
