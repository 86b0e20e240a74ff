import { formatLsn, parseLsn } from '../../../src/postgres/index.ts';
import type { PostgresServer } from '../postgres-server.ts';
import type { JudgedRecord, Transaction } from './model.ts';

interface Row {
  lsn: string;
  type: string;
  xid: string;
  at: string | null;
}

const KINDS: Record<string, JudgedRecord['kind']> = {
  COMMIT: 'commit',
  COMMIT_PREPARED: 'commit',
  ABORT: 'abort',
  ABORT_PREPARED: 'abort',
  PREPARE: 'prepare',
};

/**
 * All ends and preparations of transactions in a range of a server's WAL, in its order, read by PostgreSQL's own extension pg_walinspect: what
 * is expected of a restore does not come from the code that is tested.
 */
export async function judgeRecords(
  server: PostgresServer,
  range: { from: bigint; to: bigint },
  find: (xid: number) => Transaction | null,
): Promise<JudgedRecord[]> {
  const rows = await server.query<Row>(`
    SELECT start_lsn::text AS lsn, record_type AS type,
           CASE WHEN record_type LIKE '%\\_PREPARED' THEN (regexp_match(description, '^([0-9]+):'))[1] ELSE xid::text END AS xid,
           (extract(epoch FROM (regexp_match(description, '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+[+-][0-9:]+'))[1]::timestamptz)
             * 1000000)::bigint::text AS at
    FROM pg_get_wal_records_info('${formatLsn(range.from)}', '${formatLsn(range.to)}')
    WHERE resource_manager = 'Transaction' AND record_type IN ('COMMIT', 'COMMIT_PREPARED', 'ABORT', 'ABORT_PREPARED', 'PREPARE')
    ORDER BY start_lsn`);
  return rows.map(({ lsn, type, xid, at }) => {
    const number = Number(xid);
    return { lsn: parseLsn(lsn), at: BigInt(at ?? 0), kind: KINDS[type]!, xid: number, transaction: find(number) };
  });
}

/** Where every record of a range begins. */
export async function listRecordStarts(server: PostgresServer, range: { from: bigint; to: bigint }): Promise<bigint[]> {
  const rows = await server.query<{ lsn: string }>(
    `SELECT start_lsn::text AS lsn FROM pg_get_wal_records_info('${formatLsn(range.from)}', '${formatLsn(range.to)}') ORDER BY start_lsn`,
  );
  return rows.map(({ lsn }) => parseLsn(lsn));
}
