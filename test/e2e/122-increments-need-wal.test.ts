import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { type BackupResult, runBackup } from '../../src/protect/backup/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

describe('an increment', () => {
  let stack: AsyncDisposableStack;
  let scratch: string;
  let server: PostgresServer;
  let place: TestRepository;

  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    scratch = await makeScratchDirectory('increments-need-wal');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    const settings = { summarize_wal: 'on', autovacuum: 'off' };
    // Small segments, so that little has to be written until the server has given up what it does not need.
    const options = { walSegmentSizeMb: 1, initdbArguments: ['--no-data-checksums'] };
    server = stack.use(await startPostgres({ major: 18, settings, ...options }));
    await server.query("CREATE TABLE item AS SELECT n, 'first' AS word FROM generate_series(1, 2000) n; CHECKPOINT");
    place = await makeRepository(scratch);
    stack.defer(() => place.repository.close());
  });
  afterEach(() => stack.disposeAsync());

  const backUp = (): Promise<BackupResult> => {
    const { repository, stateDirectory } = place;
    const common = { repository, stateDirectory, clock: systemClock, progress: silentProgress };
    return runBackup({ ...common, source: targetOf(server.backupSocketUrl), cluster: 'main', checkpoint: 'fast' });
  };

  /** Several segments, and so many checkpoints that the server keeps none of them. */
  const writeOn = async () => {
    for (let i = 0; i < 4; i++) await server.query('SELECT pg_switch_wal(); CHECKPOINT');
  };

  const whyEverything = ({ reading }: BackupResult): string => {
    assert.ok(reading.manner === 'everything', JSON.stringify(reading));
    return reading.why ?? '';
  };

  it('is not built on a backup of a history from which the server was rolled back', async () => {
    const rolledBack = join(scratch, 'rolled-back');
    await server.stop();
    await cp(server.dataDirectory, rolledBack, { recursive: true, preserveTimestamps: true });
    await server.restart();
    await server.query("UPDATE item SET word = 'lost' WHERE n < 1000");
    const base = await backUp();
    await server.stop();
    await rm(server.dataDirectory, { recursive: true });
    await cp(rolledBack, server.dataDirectory, { recursive: true, preserveTimestamps: true });
    await giveToServerUser(server.dataDirectory);
    await server.restart();
    // Past all that is stored, and none of it where a byte of the other history could be compared.
    await writeOn();
    await server.query("INSERT INTO item VALUES (2001, 'new')");
    const next = await backUp();
    assert.equal(next.snapshot.wal.lineage, base.snapshot.wal.lineage, 'nothing tells the two histories apart');
    assert.match(whyEverything(next), /no WAL receiver ran all the time: the WAL since the last backup is stored only/);
    assert.equal(next.doubt, null);

    const { repository, stateDirectory } = place;
    const common = { repository, stateDirectory, clock: systemClock, progress: silentProgress };
    const { instance } = await runRestore({
      ...{ ...common, into: join(scratch, 'restored'), snapshot: next.snapshot.id, target: { kind: 'immediate' } },
      start: { binDirectory: server.binDirectory },
      ...(runsAsRoot ? { owner: nobody } : {}),
    });
    const connection = await instance!.instance.connect();
    try {
      const [result] = await connection.query("SELECT string_agg(DISTINCT word, ' ' ORDER BY word) FROM item");
      assert.equal(result!.rows[0]![0], 'first new');
    } finally {
      await connection.close();
      await instance!.stop();
    }
  });

  it('is not made of what came where a receiver left a gap since the base, and the next one stands on what was read instead', async () => {
    const { repository, stateDirectory } = place;
    const receive = () =>
      stack.use(startReceiver({ repository, stateDirectory, source: server.backupSocketUrl, flushIntervalMs: 100 }));
    const before = receive();
    await before.durable(await flushLsnOf(server));
    await backUp();
    await server.query("UPDATE item SET word = 'second' WHERE n = 7");
    const increment = await backUp();
    assert.equal(increment.reading.manner, 'increment', JSON.stringify(increment.reading));
    await before.stop();
    await server.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
    await writeOn();
    const after = receive();
    await after.durable(await flushLsnOf(server));
    const whole = await backUp();
    assert.match(whyEverything(whole), /^the WAL since the last backup is stored only up to .*, and not up to /);
    await server.query("UPDATE item SET word = 'third' WHERE n = 8");
    const next = await backUp();
    assert.ok(next.reading.manner === 'increment' && next.reading.base === whole.snapshot.id);
  });
});
