import { HoldfastError } from '../../lib/index.ts';
import type { PostgresConnection } from '../connection/index.ts';
import { onlyRow } from './rows.ts';

/**
 * The value of a run-time setting, as text with its unit ('16MB').
 * Errors: PG_SERVER_ERROR, for example 42704 for a setting that this server does not have; PG_SETTING_NAME_INVALID.
 */
export async function showSetting(connection: PostgresConnection, name: string): Promise<string> {
  if (!/^[A-Za-z_][A-Za-z0-9_.]*$/.test(name)) {
    throw new HoldfastError('PG_SETTING_NAME_INVALID', `invalid name of a setting "${name}"`);
  }
  return onlyRow(await connection.query(`SHOW ${name}`), `SHOW ${name}`).text(name);
}
