import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { type RecoveryTarget, runRestore } from '../../src/restore/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { historyOf, rowsUpTo } from '../support/protected-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

for (const [major, megabytes] of [
  [18, 1],
  [14, 1],
  [18, 64],
] as const) {
  it(`PostgreSQL ${major} with segments of ${megabytes} MB is backed up, streamed and restored`, async () => {
    const scratch = await makeScratchDirectory(`segments-${megabytes}`);
    try {
      await using server = await startPostgres({
        major,
        walSegmentSizeMb: megabytes,
        settings: { autovacuum: 'off', ...(megabytes > 16 ? { min_wal_size: '128MB', max_wal_size: '512MB' } : {}) },
      });
      await server.query('CREATE TABLE history (n int PRIMARY KEY)');
      const place = await makeRepository(scratch);
      const { repository, stateDirectory } = place;
      const common = { repository, stateDirectory, clock: systemClock };
      const backUp = () =>
        runBackup({
          ...{ ...common, cluster: 'main', progress: silentProgress },
          checkpoint: 'fast',
          source: targetOf(server.backupSocketUrl),
        });
      await write(server, 1, 3);
      // Brings its own WAL, as nobody streams yet.
      const { snapshot: first } = await backUp();
      assert.equal(first.details.segmentSize, megabytes << 20);

      await using receiver = startReceiver({ repository, stateDirectory, source: server.backupSocketUrl });
      await write(server, 4, 6);
      const middle = await write(server, 7, 7);
      // Over the border of a segment, in the middle of a record too.
      await server.query(`CREATE TABLE bulk AS SELECT repeat(i::text, 300) FROM generate_series(1, 1500) i`);
      await server.query('SELECT pg_switch_wal()');
      await write(server, 8, 9);
      const { snapshot: second } = await backUp();
      await write(server, 10, 11);
      await receiver.durable(await flushLsnOf(server));
      await receiver.stop();

      let restores = 0;
      const restoredRows = async (snapshot: string, target: RecoveryTarget) => {
        const into = join(scratch, `into-${++restores}`);
        const { binDirectory } = server;
        const exclusive = target.kind === 'lsn';
        const start = { binDirectory };
        const { instance } = await runRestore({ ...common, into, target, exclusive, snapshot, start, ...owner });
        try {
          return await historyOf(instance!.instance);
        } finally {
          await instance!.stop();
        }
      };
      assert.equal(await restoredRows(first.id, { kind: 'latest' }), rowsUpTo(11));
      assert.equal(await restoredRows(first.id, { kind: 'lsn', lsn: middle }), rowsUpTo(7));
      assert.equal(await restoredRows(second.id, { kind: 'latest' }), rowsUpTo(11));
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}

/** Writes rows, each in its own transaction; gives a position behind them. */
async function write(server: PostgresServer, from: number, to: number): Promise<bigint> {
  for (let n = from; n <= to; n++) await server.query(`INSERT INTO history VALUES (${n})`);
  const [row] = await server.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  return parseLsn(row!.lsn);
}
