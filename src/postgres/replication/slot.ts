import { HoldfastError } from '../../lib/index.ts';
import type { PostgresConnection } from '../connection/index.ts';
import { parseLsn } from '../lsn.ts';
import { PostgresError } from '../postgres-error.ts';
import { onlyRow } from './rows.ts';

/** Where a physical slot stands. Both are null when it has not kept any WAL yet. */
export interface SlotPosition {
  readonly restartLsn: bigint | null;
  readonly restartTimeline: number | null;
}

/** READ_REPLICATION_SLOT came with this major version. */
const READ_SLOT_MAJOR_MIN = 15;

/**
 * Creates a physical slot that keeps WAL from now on (RESERVE_WAL); a temporary one goes when the connection does.
 * Errors: PG_SERVER_ERROR (42710: it exists), PG_NO_FREE_SLOT (53400), PG_SLOT_NAME_INVALID.
 */
export async function createPhysicalSlot(
  connection: PostgresConnection,
  name: string,
  options = { temporary: false },
): Promise<void> {
  checkSlotName(name);
  const reserve = connection.serverVersion.major >= READ_SLOT_MAJOR_MIN ? '(RESERVE_WAL)' : 'RESERVE_WAL';
  const command = `CREATE_REPLICATION_SLOT ${name} ${options.temporary ? 'TEMPORARY ' : ''}PHYSICAL ${reserve}`;
  await connection.query(command).catch((error: unknown) => {
    throw error instanceof PostgresError && error.sqlState === '53400' ? noFreeSlot(name, error) : error;
  });
}

function noFreeSlot(name: string, error: PostgresError): PostgresError {
  const report = { ...error.report, hint: undefined };
  return new PostgresError(report, 'PG_NO_FREE_SLOT', `cannot create the slot "${name}": all slots are in use`, {
    detail: `The server said: ${report.message}.`,
    hints: [
      'SELECT slot_name, active FROM pg_replication_slots lists them; drop one that nobody needs with pg_drop_replication_slot.',
      'Or raise max_replication_slots, which needs a restart.',
    ],
  });
}

/**
 * Where the slot stands, or null when there is none.
 *
 * `connection` is one for replication from version 15 on; the server of 14 can be asked only over a connection for SQL.
 * Errors: PG_SERVER_ERROR, PG_SLOT_NOT_PHYSICAL, PG_SLOT_NAME_INVALID.
 */
export async function readSlot(connection: PostgresConnection, name: string): Promise<SlotPosition | null> {
  checkSlotName(name);
  const overSql = connection.replication === 'off';
  const command = overSql
    ? `SELECT slot_type, restart_lsn, NULL AS restart_tli FROM pg_replication_slots WHERE slot_name = '${name}'`
    : `READ_REPLICATION_SLOT ${name}`;
  const results = await connection.query(command);
  if (results.every((result) => result.rows.length === 0)) return null;
  const row = onlyRow(results, 'READ_REPLICATION_SLOT');
  const type = row.textOrNull('slot_type');
  if (type === null) return null;
  if (type !== 'physical') {
    throw new HoldfastError('PG_SLOT_NOT_PHYSICAL', `cannot use the slot "${name}": it is a ${type} one`, {
      detail: 'Expected a physical replication slot.',
    });
  }
  const restartLsn = row.textOrNull('restart_lsn');
  const restartTimeline = row.textOrNull('restart_tli');
  return {
    restartLsn: restartLsn === null ? null : parseLsn(restartLsn),
    restartTimeline: restartTimeline === null ? null : row.integer('restart_tli'),
  };
}

/**
 * Drops the slot; the server no longer keeps WAL for it. With `wait`, waits until nobody uses it any more.
 * Errors: PG_SERVER_ERROR (42704: there is none; 55006: it is in use), PG_SLOT_NAME_INVALID.
 */
export async function dropSlot(connection: PostgresConnection, name: string, options = { wait: false }): Promise<void> {
  checkSlotName(name);
  await connection.query(`DROP_REPLICATION_SLOT ${name}${options.wait ? ' WAIT' : ''}`);
}

/** Also what makes it safe to put the name into a command. Source: slot.c, ReplicationSlotValidateName. */
export function checkSlotName(name: string): void {
  if (/^[a-z0-9_]{1,63}$/.test(name)) return;
  throw new HoldfastError('PG_SLOT_NAME_INVALID', `invalid name of a replication slot "${name}"`, {
    detail: 'Expected at most 63 lower-case letters, digits and underscores.',
  });
}
