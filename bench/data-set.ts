import { execFileSync } from 'node:child_process';
import type pg from 'pg';
import type { BenchServer } from './server.ts';
import { accountsAtScaleOne } from './workload.ts';

/** What is backed up. */
export interface DataSet {
  scale: number;
  /** Of the data directory without pg_wal. */
  bytes: number;
}

/** At scale 1: the accounts of pgbench's scale 150 with 2.35 GB, and 0.53 GB of items and customers. */
const itemsAtScaleOne = 850_000;
const customersAtScaleOne = 300_000;

/** A line for each file of the cluster. */
const outputBytesMax = 64 * 1024 * 1024;

/**
 * Fills the server. Accounts are pgbench's, but with 60 hexadecimal digits in the filler: pgbench's own is blank and would
 * compress eleven times over the whole cluster, this one four times. Items and customers have jsonb and GIN indexes, as an application's tables have.
 * All follows from the row numbers, so that any two data sets of one scale are equal.
 */
export async function createDataSet(server: BenchServer, scale: number): Promise<DataSet> {
  await loadTables(server, async (client) => {
    await client.query('BEGIN');
    for (const statement of statements(scale)) await client.query(statement);
    await client.query('COMMIT');
    // Freezing and the hint bits of a first read happen now, not in the first backup.
    await client.query('VACUUM (FREEZE, ANALYZE)');
  });
  return { scale, bytes: measureDataBytes(server) };
}

/** Fills tables as fast as the server can, and leaves it as the bench has it. */
export async function loadTables(server: BenchServer, load: (client: pg.Client) => Promise<void>): Promise<void> {
  // With wal_level=minimal a table made and filled in one transaction is not written to the WAL.
  await server.restart({
    ...{ wal_level: 'minimal', summarize_wal: 'off', max_wal_senders: '0' },
    ...{ fsync: 'off', maintenance_work_mem: '512MB' },
  });
  const client = await server.connect();
  try {
    await load(client);
    await client.query('CHECKPOINT');
  } finally {
    await client.end();
  }
  await server.restart({});
}

function statements(scale: number): string[] {
  const count = (atScaleOne: number) => Math.max(1, Math.round(atScaleOne * scale));
  const accounts = count(accountsAtScaleOne);
  return [
    'CREATE TABLE pgbench_accounts (aid int, bid int, abalance int, filler char(84)) WITH (fillfactor = 100)',
    `INSERT INTO pgbench_accounts
     SELECT n, 1 + (n - 1) / 100000, 0, md5(n::text) || left(md5('f' || n), 28) FROM generate_series(1, ${accounts}) n`,
    'ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)',
    'CREATE TABLE customers (customer_id bigint, email text, profile jsonb, created_at timestamptz)',
    `INSERT INTO customers
     SELECT n, 'customer-' || n || '@example.com',
            jsonb_build_object('name', 'Customer ' || n, 'address', jsonb_build_object('street', md5(n || 's'), 'zip', n % 99999),
                               'marketing', n % 3 = 0, 'tags', jsonb_build_array('tag-' || n % 40, 'tag-' || n % 7)),
            timestamptz '2026-01-01' + n * interval '1 minute'
     FROM generate_series(1, ${count(customersAtScaleOne)}) n`,
    'ALTER TABLE customers ADD PRIMARY KEY (customer_id)',
    'CREATE UNIQUE INDEX customers_by_email ON customers (email)',
    'CREATE TABLE items (item_id bigint, registry_id bigint, title text, price_cents int, attributes jsonb)',
    `INSERT INTO items
     SELECT n, n / 5, 'Item ' || n || ' ' || md5(n || 't'), n % 50000,
            jsonb_build_object('sku', md5(n || 'k'), 'colour', 'colour-' || n % 12, 'size', n % 9,
                               'stock', jsonb_build_object('warehouse', n % 30, 'count', n % 1000),
                               'notes', repeat('gift ' || n % 100 || ' ', 6))
     FROM generate_series(1, ${count(itemsAtScaleOne)}) n`,
    'ALTER TABLE items ADD PRIMARY KEY (item_id)',
    'CREATE INDEX items_by_registry ON items (registry_id)',
    'CREATE INDEX items_by_attributes ON items USING gin (attributes)',
  ];
}

/** The data directory's bytes without pg_wal. Also reads all of it, so that each run finds it in the page cache. */
export function measureDataBytes(server: BenchServer): number {
  const data = `${server.workplace.outside}/data`;
  const files = ['-type', 'f', '-not', '-path', '*/pg_wal/*'];
  execFileSync('find', [data, ...files, '-exec', 'cat', '{}', '+'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const sizes = execFileSync('find', [data, ...files, '-printf', '%s\n'], {
    encoding: 'utf8',
    maxBuffer: outputBytesMax,
  });
  return sizes.split('\n').reduce((sum, line) => sum + Number(line), 0);
}
