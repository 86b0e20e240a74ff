import type { PostgresConnection } from '../connection/index.ts';
import { parseLsn } from '../lsn.ts';
import { onlyRow } from './rows.ts';

/** Which cluster answers, and how far it has come. */
export interface IdentifiedSystem {
  /** 64 bits drawn at initdb, as a decimal number; kept by every copy of the cluster. */
  readonly systemId: string;
  readonly timeline: number;
  /** How far WAL is flushed on this server; on a standby, how far it is replayed. */
  readonly flushLsn: bigint;
}

/** IDENTIFY_SYSTEM. Errors: PG_SERVER_ERROR, PG_CONNECTION_CLOSED, PG_ROW_INVALID. */
export async function identifySystem(connection: PostgresConnection): Promise<IdentifiedSystem> {
  const row = onlyRow(await connection.query('IDENTIFY_SYSTEM'), 'IDENTIFY_SYSTEM');
  return {
    systemId: row.text('systemid'),
    timeline: row.integer('timeline'),
    flushLsn: parseLsn(row.text('xlogpos')),
  };
}
