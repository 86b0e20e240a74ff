import assert from 'node:assert/strict';
import { type FileHandle, open, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HoldfastError, silentProgress, systemClock } from '../../src/lib/index.ts';
import { type BackupResult, readDoubts, runBackup } from '../../src/protect/backup/index.ts';
import { attestDoubt, type Repository } from '../../src/repository/index.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../support/repository.ts';
import { repositoryWith } from '../support/repository-with.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { prepareVariedChanges, writeVariedChanges } from '../support/varied-changes.ts';
import { flushLsnOf, type RunningReceiver, startReceiver } from '../support/wal-receiver.ts';

const BLOCK = 8192;

describe('a backup that reads everything', () => {
  const stack = new AsyncDisposableStack();
  let server: PostgresServer;
  let place: TestRepository;
  let receiver: RunningReceiver;

  before(async () => {
    const scratch = await makeScratchDirectory('comparison');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    server = stack.use(
      await startPostgres({
        major: 18,
        // Without checksums hints are not logged, so that pages differ of which no WAL tells.
        initdbArguments: ['--no-data-checksums'],
        settings: { autovacuum: 'off', summarize_wal: 'on' },
      }),
    );
    await prepareVariedChanges(server);
    await server.query(`
      CREATE TABLE still (n int, filler text);
      INSERT INTO still SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i;`);
    for (let round = 0; round < 2; round++) await writeVariedChanges(server, round);
    place = await makeRepository(scratch);
    stack.defer(() => place.repository.close());
    const { repository, stateDirectory } = place;
    receiver = stack.use(
      startReceiver({ repository, stateDirectory, source: server.backupSocketUrl, flushIntervalMs: 100 }),
    );
    await receiver.durable(await flushLsnOf(server));
  });
  after(() => stack.disposeAsync());

  const backUp = (type: 'full' | 'incremental', repository = place.repository): Promise<BackupResult> => {
    const { stateDirectory } = place;
    const source = targetOf(server.backupSocketUrl);
    const common = { repository, stateDirectory, clock: systemClock, progress: silentProgress };
    return runBackup({ ...common, source, cluster: 'main', type, checkpoint: 'fast' });
  };

  it('is compared with the one before, and takes no hint, hole or dead line pointer for a difference', async () => {
    await backUp('full');
    // Reading sets hints in rows and kills entries of indexes, and no record says so.
    await server.query('SET enable_seqscan = off; SELECT count(*) FROM still; SELECT count(*) FROM varied WHERE n > 0');
    await server.query('SELECT count(*), max(filler) FROM varied');
    await server.query('CHECKPOINT');
    const quiet = await backUp('full');
    assert.equal(quiet.doubt, null);
    assert.ok(quiet.compared!.blocks! > 50, `${JSON.stringify(quiet.compared)}: hints were set in many pages`);
    for (let round = 2; round < 5; round++) await writeVariedChanges(server, round);
    const increment = await backUp('incremental');
    assert.equal(increment.reading.manner, 'increment', JSON.stringify(increment.reading));
    assert.equal(increment.compared, null);
    const busy = await backUp('full');
    assert.equal(
      busy.doubt,
      null,
      JSON.stringify(busy.doubt?.findings.first, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
    );
    assert.equal(busy.compared!.why, null);
  });

  it('finds pages that changed, or came, without the WAL, names them, and casts doubt on what was built on the older one', async () => {
    const older = await backUp('incremental');
    const path = await pathOfStill();
    const unknown = join(dirname(path), '99999');
    let size = 0;
    await alter(path, async (file, page) => {
      await file.write(page, 0, BLOCK, 3 * BLOCK);
      // One of a position that no WAL has come to, one more than the table has, and one in a file that nobody made.
      page.writeUInt32LE(0xff, 0);
      await file.write(page, 0, BLOCK, 4 * BLOCK);
      page.writeUInt32LE(0, 0);
      size = (await file.stat()).size;
      await file.write(page, 0, BLOCK, size);
      await writeFile(join(server.dataDirectory, unknown), page);
    });
    const newer = await backUp('full');
    const { findings, snapshots } = newer.doubt!;
    assert.equal(findings.count, 4);
    assert.deepEqual(
      findings.first.map(({ kind, path, block }) => [kind, path, block]).sort(),
      [...[3, 4, size / BLOCK].map((block) => [path, block]), [unknown, 0]]
        .map(([path, block]) => ['differs', `data/${path}`, block])
        .sort(),
    );
    const named = findings.first.find(({ block }) => block === 3);
    assert.match(named!.relation!, /^table "public\.still" of database "postgres"$/);
    assert.deepEqual(snapshots, [older.snapshot.id]);
    assert.deepEqual((await readDoubts(place.repository)).about(older.snapshot.id)[0]!.snapshots, snapshots);
    const next = await backUp('full');
    assert.equal(next.doubt, null);
    assert.equal((next.snapshot.details.settings as Record<string, string>).segment_size, '1GB');
  });

  it('fails where what it found cannot be recorded, and says so where the one before is no longer listed', async () => {
    const { repository } = place;
    const away = new HoldfastError('STORE_UNAVAILABLE', 'the store does not answer');
    await alter(await pathOfStill(), (file, page) => file.write(page, 0, BLOCK, 5 * BLOCK));
    // The newer snapshot is attested once, before the two are compared.
    let statements = 0;
    const putDrawn: Repository['putDrawn'] = async (...given) => {
      if (given[0] === 'attestation' && ++statements > 1) throw away;
      return repository.putDrawn(...given);
    };
    const silent = repositoryWith(repository, { putDrawn });
    await assert.rejects(backUp('full', silent), ({ code, message, hints }: HoldfastError) => {
      assert.deepEqual([code, message], [away.code, away.message]);
      assert.match(hints.join(), /holdfast cross-check --stored [0-9a-f]{12} [0-9a-f]{12}/);
      return true;
    });

    const listSnapshots = async () => ({ ...(await repository.listSnapshots()), snapshots: [] });
    const { compared, doubt } = await backUp('full', repositoryWith(repository, { listSnapshots }));
    assert.deepEqual([compared, doubt], [{ blocks: null, why: 'the backup before is no longer listed' }, null]);
  });

  it('leaves an increment in doubt whose base came into doubt while that ran, and nothing stands on either', async () => {
    const { repository } = place;
    const base = await backUp('full');
    await server.query('UPDATE still SET n = -n WHERE n = 7');
    let isDoubted = false;
    // Somebody casts doubt on the base when the increment has been committed, and has not asked yet.
    const putDrawn: Repository['putDrawn'] = async (...given) => {
      if (given[0] === 'attestation' && !isDoubted) {
        isDoubted = true;
        await attestDoubt(repository, { snapshots: [base.snapshot.id], facts: {} });
      }
      return repository.putDrawn(...given);
    };
    const { snapshot, reading, doubt } = await backUp('incremental', repositoryWith(repository, { putDrawn }));
    assert.equal(reading.manner, 'increment', JSON.stringify(reading));
    assert.deepEqual(doubt?.snapshots, [snapshot.id]);
    const next = await backUp('incremental');
    const stoodOn = next.reading.manner === 'increment' ? next.reading.base : next.reading.why;
    assert.ok(stoodOn !== base.snapshot.id && stoodOn !== snapshot.id, 'nothing stands on either of them');
  });

  async function pathOfStill(): Promise<string> {
    const [row] = await server.query<{ path: string }>("SELECT pg_relation_filepath('still') AS path");
    return row!.path;
  }

  /** Has a file changed while the server is stopped; gives its fourth page, altered, to be written somewhere. */
  async function alter(path: string, write: (file: FileHandle, page: Buffer) => Promise<unknown>): Promise<void> {
    await server.stop();
    const file = await open(join(server.dataDirectory, path), 'r+');
    const page = Buffer.alloc(BLOCK);
    await file.read(page, 0, BLOCK, 3 * BLOCK);
    page.write('altered', BLOCK - 60);
    await write(file, page);
    await file.close();
    await server.restart();
  }
});
