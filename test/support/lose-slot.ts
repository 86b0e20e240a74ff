import assert from 'node:assert/strict';
import { systemClock } from '../../src/lib/index.ts';
import type { PostgresServer } from './postgres-server.ts';

const CHECKPOINTS_MAX = 300;

/** Has a server give up its only slot, which nobody uses: it may keep a megabyte, and more is written. The limit stays. */
export async function loseSlot(server: PostgresServer): Promise<void> {
  await server.query("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  await server.query('SELECT pg_reload_conf()');
  await server.query('CREATE TABLE IF NOT EXISTS filler AS SELECT md5(i::text) FROM generate_series(1, 60000) i');
  // Whatever a slot may keep, the server keeps WAL that it has not summarized yet.
  for (let tried = 0; tried < CHECKPOINTS_MAX; tried++) {
    await server.query('CHECKPOINT');
    const [slot] = await server.query<{ status: string }>('SELECT wal_status AS status FROM pg_replication_slots');
    if (slot?.status === 'lost') return;
    await systemClock.sleep(50);
  }
  assert.fail('the server gives up a slot that keeps more than it may');
}
