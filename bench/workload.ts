import type pg from 'pg';
import type { BenchServer } from './server.ts';

/** Rows of `pgbench_accounts` at scale 1. */
export const accountsAtScaleOne = 15_000_000;

/** Changes a run of neighbouring rows; `part` of all of them, another run for each `step`. */
export async function changeOnePlace(server: BenchServer, scale: number, step: number, part = 0.01): Promise<void> {
  const accounts = accountsAtScaleOne * scale;
  const count = Math.max(1, Math.round(accounts * part));
  const from = 1 + ((step * count * 7) % Math.max(1, Math.floor(accounts - count)));
  await changing(server, (client) =>
    client.query('UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid >= $1 AND aid < $2', [
      from,
      from + count,
    ]),
  );
}

/** Changes one row on each of so many pages, which lie all over the table. */
export async function changePages(server: BenchServer, step: number, part = 0.01): Promise<void> {
  const every = Math.round(1 / part);
  // What was there before the change: what it appends is not changed by it.
  const pages = await countPages(server);
  await changing(server, (client) =>
    client.query(
      `UPDATE pgbench_accounts SET abalance = abalance + 1
       WHERE ctid = ANY (SELECT format('(%s,1)', page)::tid FROM generate_series($2::int, $1::int, $3::int) page)`,
      [pages - 1, step % every, every],
    ),
  );
}

async function countPages(server: BenchServer): Promise<number> {
  const client = await server.connect();
  try {
    const { rows } = await client.query<{ pages: number }>(
      "SELECT (pg_relation_size('pgbench_accounts') / 8192)::int AS pages",
    );
    return rows[0]!.pages;
  } finally {
    await client.end();
  }
}

/** Changes rows that lie all over the table; `part` of all of them, others for each `step`. */
export async function changeEverywhere(server: BenchServer, step: number, part = 0.01): Promise<void> {
  const every = Math.round(1 / part);
  await changing(server, (client) =>
    client.query('UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % $1 = $2', [
      every,
      (step * 37) % every,
    ]),
  );
}

/** Writes WAL as an application does until there is so much more of it; gives where it ends, and that the segment is full. */
export async function writeWal(
  server: BenchServer,
  scale: number,
  bytes: number,
): Promise<{ from: string; to: string }> {
  const client = await server.connect();
  try {
    const from = await switchWal(client);
    const end = BigInt(bytes);
    for (let step = 1; ; step++) {
      await changeOnePlace(server, scale, step, 0.02);
      const { rows } = await client.query<{ bytes: string }>('SELECT pg_current_wal_lsn() - $1::pg_lsn AS bytes', [
        from,
      ]);
      if (BigInt(rows[0]!.bytes) >= end) break;
    }
    return { from, to: await switchWal(client) };
  } finally {
    await client.end();
  }
}

/** Ends the segment; gives where the next one begins. */
export async function switchWal(client: pg.Client): Promise<string> {
  // What it returns lies behind the switch itself, in the segment that it ended.
  const { rows } = await client.query<{ lsn: string }>(
    `SELECT '0/0'::pg_lsn + ceil((pg_switch_wal() - '0/0') / setting::numeric) * setting::numeric AS lsn
     FROM pg_settings WHERE name = 'wal_segment_size'`,
  );
  return rows[0]!.lsn;
}

/** Up to where the server's WAL is on its disk. */
export async function flushedLsn(server: BenchServer): Promise<string> {
  const client = await server.connect();
  try {
    const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    return rows[0]!.lsn;
  } finally {
    await client.end();
  }
}

/** Drops the slots that receivers have left, so that the server no longer keeps WAL for them. */
export async function dropSlots(server: BenchServer): Promise<void> {
  const client = await server.connect();
  try {
    await client.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active');
  } finally {
    await client.end();
  }
}

/** A backup begins with a checkpoint; nobody is to pay for the pages of what came before. */
export async function checkpoint(server: BenchServer): Promise<void> {
  await changing(server, async () => {});
}

async function changing(server: BenchServer, change: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = await server.connect();
  try {
    await change(client);
    await client.query('CHECKPOINT');
  } finally {
    await client.end();
  }
}
