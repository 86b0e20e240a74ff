import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type HoldfastError, silentProgress, systemClock } from '../../src/lib/index.ts';
import type { ConnectionTarget } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { commandComplete, readyForQuery, rows, startScriptedServer } from '../support/scripted-postgres.ts';

describe('a server that cannot be backed up', () => {
  let scratch: string;
  let place: TestRepository;
  before(async () => {
    scratch = await makeScratchDirectory('no-backup');
    place = await makeRepository(scratch);
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  async function refusal(source: ConnectionTarget, advance: () => void = () => {}): Promise<HoldfastError> {
    const { repository, stateDirectory } = place;
    const backup = runBackup({
      ...{ repository, stateDirectory, source, cluster: 'main', clock: systemClock },
      checkpoint: 'fast',
      progress: { ...silentProgress, advance },
    });
    const error = await backup.then(
      () => assert.fail('the backup was taken'),
      (thrown: HoldfastError) => thrown,
    );
    assert.deepEqual((await repository.listSnapshots()).snapshots, []);
    assert.ok(error.hints.length > 0, error.stack);
    return error;
  }

  /** A server that shows the given settings and ordinary values for all others. */
  const startWithSettings = (settings: Record<string, string>) =>
    startScriptedServer(async (client) => {
      await client.welcome();
      for (let query = await client.readQuery(); query !== undefined; query = await client.readQuery()) {
        const name = /^SHOW (\w+)$/.exec(query)?.[1] ?? '';
        const ordinary: Record<string, string> = { block_size: '8192', wal_segment_size: '16MB', wal_level: 'replica' };
        client.send(rows([name], [settings[name] ?? ordinary[name] ?? 'off']), commandComplete('SHOW'), readyForQuery);
      }
    });

  it('because its pages are not of 8 KiB is refused before anything is stored', async () => {
    await using server = await startWithSettings({ block_size: '32768' });
    const error = await refusal(server.target);
    assert.equal(error.code, 'PG_BLOCK_SIZE_UNSUPPORTED');
    assert.match(error.detail!, /Expected 8192 bytes, found 32768/);
  });

  it('because its WAL lacks what a restore needs is told which settings to change', async () => {
    await using scripted = await startWithSettings({ wal_level: 'minimal' });
    assert.equal((await refusal(scripted.target)).code, 'PG_WAL_LEVEL_TOO_LOW');

    // A real one does not even let us in: with wal_level = minimal it may not have any senders.
    await using server = await startPostgres({ major: 18, settings: { wal_level: 'minimal', max_wal_senders: '0' } });
    const error = await refusal(targetOf(server.backupUrl));
    assert.equal(error.code, 'PG_REPLICATION_OFF');
    assert.match(error.hints.join(' '), /ALTER SYSTEM SET wal_level = 'replica'/);
  });

  for (const [how, end] of [
    ['killed', (server: Awaited<ReturnType<typeof startPostgres>>) => server.kill9()],
    ['stopped', (server: Awaited<ReturnType<typeof startPostgres>>) => server.stop('fast')],
  ] as const) {
    it(`because it is ${how} meanwhile gives an error that may be over, and the next backup is taken`, async () => {
      await using server = await startPostgres({ major: 18, settings: { autovacuum: 'off' } });
      await server.query('CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 60000) i');
      let ending: Promise<void> | null = null;
      const error = await refusal(targetOf(server.backupUrl), () => {
        ending ??= end(server);
      });
      await ending;
      assert.ok(error.retryable, error.stack);
      assert.match(error.code, /^(PG_CONNECTION_|PG_SERVER_|BACKUP_WAL_STOPPED)/);
      await server.restart();
      const { repository, stateDirectory } = place;
      const source = targetOf(server.backupUrl);
      const common = { repository, stateDirectory, source, clock: systemClock, progress: silentProgress };
      const { snapshot } = await runBackup({ ...common, cluster: how, checkpoint: 'fast' });
      const { snapshots } = await repository.listSnapshots();
      assert.deepEqual(
        snapshots.map(({ id }) => id),
        [snapshot.id],
      );
      place = await makeRepository(scratch, `after-${how}`);
    });
  }
});
