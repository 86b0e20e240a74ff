import pg from 'pg';
import { systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import type { PostgresServer } from './postgres-server.ts';
import type { Random } from './seeded-random.ts';

/** The end of a transaction as the server's own reader of WAL tells it. */
export interface TransactionRecord {
  readonly lsn: bigint;
  readonly at: bigint;
  /** The row of the history that became visible with it, null for any other transaction. */
  readonly row: number | null;
}

const SESSIONS = 4;

/** Makes the tables. The column `xid` of the history keeps the transaction's number, also of a row that a savepoint wrote. */
export async function prepareRandomHistory(server: PostgresServer): Promise<void> {
  await server.query(`
    CREATE EXTENSION pg_walinspect;
    ALTER TABLE history ADD COLUMN xid xid DEFAULT pg_current_xact_id()::xid;
    CREATE TABLE noise (text text)`);
}

/**
 * Writes numbered rows into `history` from several sessions at once, one row in each transaction: some are rolled back, some prepared and
 * committed later by whoever comes by, some take a savepoint; other tables, checkpoints and segment switches make the WAL varied.
 */
export async function writeRandomHistory(
  server: PostgresServer,
  random: Random,
  options: { firstRow: number; transactions: number },
): Promise<void> {
  const prepared: string[] = [];
  let next = options.firstRow;
  const end = options.firstRow + options.transactions;
  const work = async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    try {
      while (next < end) await writeTransaction(client, random, next++, prepared);
    } finally {
      await client.end();
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, work));
}

async function writeTransaction(client: pg.Client, random: Random, n: number, prepared: string[]): Promise<void> {
  await client.query('BEGIN');
  if (random.below(4) === 0) await client.query('SAVEPOINT here');
  await client.query(`INSERT INTO history VALUES (${n})`);
  if (random.below(3) === 0) {
    await client.query(`INSERT INTO noise SELECT md5(i::text) FROM generate_series(1, ${1 + random.below(400)}) i`);
  }
  await systemClock.sleep(random.below(12));
  switch (random.below(12)) {
    case 0:
      await client.query('ROLLBACK');
      break;
    case 1:
      await client.query(`PREPARE TRANSACTION 'row ${n}'`);
      prepared.push(`row ${n}`);
      break;
    default:
      await client.query('COMMIT');
  }
  const waiting = random.below(3) === 0 ? prepared.shift() : undefined;
  if (waiting !== undefined)
    await client.query(`${random.below(5) === 0 ? 'ROLLBACK' : 'COMMIT'} PREPARED '${waiting}'`);
  if (random.below(60) === 0) await client.query('SELECT pg_switch_wal()');
  if (random.below(80) === 0) await client.query('CHECKPOINT');
}

/**
 * All ends of transactions between two positions, in the order of the WAL, read by PostgreSQL's own extension pg_walinspect, so that what is
 * expected does not come from the code that is tested.
 */
export async function readTransactionRecords(
  server: PostgresServer,
  range: { from: string; to: string },
): Promise<TransactionRecord[]> {
  const rows = await server.query<{ lsn: string; at: string; row: number | null }>(`
    WITH ends AS (
      SELECT start_lsn, record_type,
             CASE WHEN record_type LIKE '%PREPARED' THEN (regexp_match(description, '^([0-9]+):'))[1]::xid ELSE xid END AS xid,
             (regexp_match(description, '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+[+-][0-9:]+'))[1]::timestamptz AS at
      FROM pg_get_wal_records_info('${range.from}', '${range.to}')
      WHERE resource_manager = 'Transaction' AND record_type IN ('COMMIT', 'COMMIT_PREPARED', 'ABORT', 'ABORT_PREPARED'))
    SELECT start_lsn AS lsn, (extract(epoch FROM at) * 1000000)::bigint::text AS at,
           CASE WHEN record_type LIKE 'COMMIT%' THEN
             (SELECT n FROM history WHERE history.xid = ends.xid)
           END AS row
    FROM ends ORDER BY start_lsn`);
  return rows.map(({ lsn, at, row }) => ({ lsn: parseLsn(lsn), at: BigInt(at), row }));
}

/** Where the first record begins at a position or behind it; `null` when the position lies in the zeros that fill a segment up. */
export async function nextRecordLsn(server: PostgresServer, lsn: string, end: string): Promise<bigint | null> {
  try {
    const [row] = await server.query<{ lsn: string }>(
      `SELECT min(start_lsn) AS lsn FROM pg_get_wal_records_info('${lsn}', '${end}')`,
    );
    return parseLsn(row!.lsn);
  } catch (error) {
    if (/could not find a valid record after/.test(String(error))) return null;
    throw error;
  }
}
