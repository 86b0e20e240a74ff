import { HoldfastError } from '../../../src/lib/index.ts';
import { connect } from '../database.ts';
import { parseLsn } from '../lsn.ts';
import type { DisasterName } from './options.ts';
import type { Shop } from './shop.ts';

/** Something terrible that has happened. */
export interface Disaster {
  /** One sentence. */
  readonly told: string;
  /** The moment just before it could have had any effect. */
  readonly atMs: number;
  readonly atMonotonicMs: number;
  /** The transaction that did it, `null` when it was none. */
  readonly transaction: CulpritTransaction | null;
}

/** A transaction that is to be undone together with all that came after it. */
export interface CulpritTransaction {
  readonly xid: number;
  /** Its commit record begins at or after this position. */
  readonly from: bigint;
}

/** Lets it happen, while the shops write. */
export const disasters: Record<DisasterName, (shop: Shop) => Promise<Disaster>> = {
  'dropped-table': dropTable,
  'database-failure': destroyDatabase,
};

/**
 * Somebody drops a table. The tables are locked first, in the order in which the load's own statements lock them: a drop
 * that waits for a writer which waits for the drop would be a deadlock, and the server would end one of the two.
 */
async function dropTable(shop: Shop): Promise<Disaster> {
  const client = await connect(shop.databaseUrl);
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE items, purchases, registries IN ACCESS EXCLUSIVE MODE');
    await client.query('DROP TABLE registries CASCADE');
    const { rows } = await client.query<{ xid: string; lsn: string }>(
      'SELECT pg_current_xact_id()::text AS xid, pg_current_wal_insert_lsn()::text AS lsn',
    );
    const [row] = rows;
    if (row === undefined) throw new HoldfastError('DEMO_DROP_UNTOLD', 'server does not say which transaction it runs');
    const [atMs, atMonotonicMs] = [Date.now(), performance.now()];
    await client.query('COMMIT');
    const xid = xidOfWal(BigInt(row.xid));
    const transaction = { xid, from: parseLsn(row.lsn) };
    return { told: `DROP TABLE registries CASCADE, in transaction ${xid}`, atMs, atMonotonicMs, transaction };
  } finally {
    await client.end();
  }
}

async function destroyDatabase(shop: Shop): Promise<Disaster> {
  const [atMs, atMonotonicMs] = [Date.now(), performance.now()];
  await shop.destroyServer();
  const told = 'the server was killed with SIGKILL, and its data directory is gone';
  return { told, atMs, atMonotonicMs, transaction: null };
}

/** The WAL knows the lower 32 bits of a transaction's number. */
export function xidOfWal(fullXid: bigint): number {
  return Number(fullXid & 0xffff_ffffn);
}
