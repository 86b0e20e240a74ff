import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { type ReadingDone, runBackup } from '../../src/protect/backup/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
import {
  ChunkReader,
  listTreeChunks,
  openDiskStore,
  openRepository,
  type Repository,
} from '../../src/repository/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, reopenRepository, targetOf, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { stopStoreAt } from '../support/stopping-store.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));

let server: PostgresServer;
let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('backup-stops');
  server = await startPostgres({ major: 18 });
  await server.query('CREATE TABLE item AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i');
});
after(async () => {
  await server.dispose();
  await rm(scratch, { recursive: true, force: true });
});

/** Backs up through a store that stops at the given change; gives what it changed, and whether the backup came to its end. */
async function backUpUntil(path: string, stateDirectory: string, stopAt: number, when: 'before' | 'after') {
  const stopping = stopStoreAt(openDiskStore(path), stopAt, when);
  const repository = await openRepository({
    store: stopping.store,
    credential: testCredential,
    access: 'write',
    clock: systemClock,
  });
  let finished = false;
  let reading: ReadingDone | null = null;
  try {
    const result = await runBackup({
      repository,
      stateDirectory,
      source: targetOf(server.backupSocketUrl),
      cluster: 'test',
      checkpoint: 'fast',
      clock: systemClock,
      progress: silentProgress,
      workers: 1,
    });
    finished = true;
    reading = result.reading;
  } catch (error) {
    if (!stopping.hasStopped) throw error;
  } finally {
    await repository.close();
  }
  return { finished, reading, changes: stopping.changes };
}

/** Asserts that all a snapshot claims is there, each chunk of its tree and its WAL without a gap; gives the number of snapshots. */
async function countWholeSnapshots(repository: Repository): Promise<number> {
  const { snapshots, damaged } = await repository.listSnapshots();
  assert.deepEqual(damaged, []);
  const index = await repository.loadIndex();
  assert.deepEqual(index.unreadable, []);
  const { readChunk } = new ChunkReader({ store: repository.store, keys: repository.keys, index });
  for (const { tree, wal } of snapshots) {
    const seen = new Set<string>();
    for await (const { id } of listTreeChunks(tree.root, readChunk)) {
      if (seen.has(id.toString('hex'))) continue;
      seen.add(id.toString('hex'));
      await readChunk(id);
    }
    const inventory = await readWalInventory(repository);
    assert.ok(contiguousEnd(inventory, wal.lineage, wal.timeline, parseLsn(wal.start)) >= parseLsn(wal.end));
  }
  index.close();
  return snapshots.length;
}

async function countReopened(path: string): Promise<number> {
  const repository = await reopenRepository(path);
  try {
    return await countWholeSnapshots(repository);
  } finally {
    await repository.close();
  }
}

/** A repository at rest, to be copied for each stop; `prepare` fills it first. */
async function makeOrigin(
  name: string,
  prepare: (place: Place) => Promise<void>,
): Promise<(copy: string) => Promise<Place>> {
  const origin = await makeRepository(scratch, name);
  await origin.repository.close();
  await prepare(origin);
  return async (copy) => {
    const place = { path: join(scratch, copy), stateDirectory: join(scratch, `${copy}-state`) };
    await cp(origin.path, place.path, { recursive: true });
    await cp(origin.stateDirectory, place.stateDirectory, { recursive: true });
    return place;
  };
}

interface Place {
  readonly path: string;
  readonly stateDirectory: string;
}

const toTheEnd = (place: Place) => backUpUntil(place.path, place.stateDirectory, Number.POSITIVE_INFINITY, 'before');

/**
 * Stops a backup at each change of the store, in a copy of a repository that has `listedBefore` snapshots: what is listed then is whole, and so is it
 * after one more backup. Gives what the undisturbed backup changed, and how many of the changes were tried.
 */
async function stopEverywhere(
  copyOrigin: (copy: string) => Promise<Place>,
  listedBefore: number,
  whens: (stopAt: number) => readonly ('before' | 'after')[] = () => ['before', 'after'],
) {
  const undisturbed = await toTheEnd(await copyOrigin('whole'));
  assert.ok(undisturbed.finished);
  // WAL is cut by time, so the number of changes differs a little from run to run; its own stops are tried in wal-stops.test.ts.
  const stops = undisturbed.changes.flatMap((change, i) => (/ wal\/.*\/fragments\//.test(change) ? [] : [i + 1]));
  for (const stopAt of stops) {
    for (const when of whens(stopAt)) {
      const place = await copyOrigin(`stop-${stopAt}-${when}`);
      const { finished, changes } = await backUpUntil(place.path, place.stateDirectory, stopAt, when);
      const listed = (await countReopened(place.path)) - listedBefore;
      const committed = changes.some((change) => change.includes('snapshots/committed/'));
      if (finished) assert.equal(listed, 1, `finished at ${stopAt}`);
      if (listed === 1) assert.ok(committed, `listed without being committed at ${stopAt}`);
      const again = await toTheEnd(place);
      assert.ok(again.finished, `the backup after a stop ${when} change ${stopAt} (${changes.at(-1)})`);
      assert.equal(await countReopened(place.path), listedBefore + listed + 1);
      await rm(place.path, { recursive: true });
    }
  }
  await rm(join(scratch, 'whole'), { recursive: true });
  return { changes: undisturbed.changes, tried: stops.length, reading: undisturbed.reading };
}

test('whenever a backup is stopped, what is listed is whole and the next backup succeeds', async (t) => {
  const copyOrigin = await makeOrigin('origin', async () => {});
  const { changes, tried } = await stopEverywhere(copyOrigin, 0);
  const kinds = new Set(changes.map((change) => change.split(' ')[1]!.split('/')[0]));
  for (const kind of ['packs', 'index', 'snapshots', 'wal', 'attest', 'ledger', 'volatile']) {
    assert.ok(kinds.has(kind), `the backup changes ${kind}`);
  }
  t.diagnostic(`${tried} of ${changes.length} changes, each stopped before and after`);
});

test('whenever an increment is stopped, what is listed is whole and the next backup succeeds', async (t) => {
  await server.query('ALTER SYSTEM SET summarize_wal = on');
  await server.query('SELECT pg_reload_conf()');
  const copyOrigin = await makeOrigin('base', async (place) => {
    assert.ok((await toTheEnd(place)).finished);
  });
  await server.query('UPDATE item SET i = -i WHERE i % 50 = 0');
  // Each change is tried in every run, the two ways of it in turns: what follows a stop is the same as after that of a full.
  const { changes, tried, reading } = await stopEverywhere(copyOrigin, 1, (stopAt) => [
    (stopAt + seed) % 2 === 0 ? 'before' : 'after',
  ]);
  assert.equal(reading?.manner, 'increment', JSON.stringify(reading));
  t.diagnostic(`${tried} of ${changes.length} changes, each stopped before or after (HOLDFAST_SEED=${seed})`);
});
