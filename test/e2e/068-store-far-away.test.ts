import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { formatSegmentName, parseLsn } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { fetchWalFile, WAL_FETCH_EXIT } from '../../src/protect/wal/index.ts';
import { openDiskStore, openRepository, type Repository } from '../../src/repository/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import { type DelayedStore, delayStore } from '../support/delayed-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

/** Longer than what a program does between two calls, mostly: where it does more, calls that wait for nothing count as well, of which bounds allow two. */
const DELAY_MS = 40;
/** On a machine that has much else to do it is not longer: what is out of bounds is counted again with these. */
const LONGER_DELAYS_MS = [160, 400];

let server: PostgresServer;
let scratch: string;
let place: { path: string; stateDirectory: string };
before(async () => {
  scratch = await makeScratchDirectory('far-away');
  server = await startPostgres({ major: 18 });
  await server.query('CREATE TABLE item AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i');
  const { repository, ...made } = await makeRepository(scratch);
  place = made;
  await repository.close();
  // The first backup begins the lineage; those that are counted are like all others.
  await overALongLine(0, backUp);
});
after(async () => {
  await server.dispose();
  await rm(scratch, { recursive: true, force: true });
});

async function overALongLine(
  delayMs: number,
  work: (repository: Repository, far: DelayedStore) => Promise<void>,
): Promise<{ calls: number; row: string; far: DelayedStore }> {
  const far = delayStore(openDiskStore(place.path), delayMs);
  const repository = await openRepository({
    store: far.store,
    credential: testCredential,
    access: 'write',
    clock: systemClock,
    stateDirectory: place.stateDirectory,
  });
  try {
    await work(repository, far);
  } finally {
    await repository.close();
  }
  return { calls: far.callsInARow, row: `\n${far.longestRow().join('\n')}`, far };
}

/** Counts with a delay; once more with a longer one, which is far longer than what the program does meanwhile, when what is thrown says so. */
async function countWithPatience(count: (delayMs: number) => Promise<void>): Promise<void> {
  const longer = [...LONGER_DELAYS_MS];
  for (let delayMs = DELAY_MS; ; ) {
    try {
      return await count(delayMs);
    } catch (error) {
      const next = longer.shift();
      if (!(error instanceof assert.AssertionError) || next === undefined) throw error;
      delayMs = next;
    }
  }
}

async function backUp(repository: Repository): Promise<void> {
  await runBackup({
    ...{ repository, stateDirectory: place.stateDirectory, source: targetOf(server.backupSocketUrl) },
    checkpoint: 'fast',
    ...{ cluster: 'main', clock: systemClock, progress: silentProgress },
  });
}

describe('over a long line to the store', () => {
  it('a backup that brings its own WAL and is compared with the one before waits for 29 answers', async (t) => {
    await countWithPatience(async (delayMs) => {
      const { calls, row } = await overALongLine(delayMs, backUp);
      t.diagnostic(`${calls} calls in a row`);
      assert.ok(calls <= 31, row);
    });
  });

  it('a restore waits for 19 answers, and holds little of what it reads', async (t) => {
    await countWithPatience(async (delayMs) => {
      const into = join(scratch, `restored-${delayMs}`);
      const { calls, row, far } = await overALongLine(delayMs, async (repository) => {
        await runRestore({
          ...{ repository, stateDirectory: place.stateDirectory, clock: systemClock, into },
          target: { kind: 'latest' },
        });
      });
      t.diagnostic(`${calls} calls in a row, ${far.rangeBytesMax} bytes on their way`);
      assert.ok(calls <= 21, row);
      assert.ok(far.rangeBytesMax <= 24 << 20, `${far.rangeBytesMax} bytes on their way`);
    });
  });

  it('WAL is streaming and durable after a few answers, and the backup beside it waits for little', async (t) => {
    const count = (delayMs: number) =>
      overALongLine(delayMs, async (repository, far) => {
        const { stateDirectory } = place;
        const source = server.backupSocketUrl;
        await using receiver = startReceiver({ repository, stateDirectory, source, flushIntervalMs: 100 });
        await receiver.seen('streaming', (event) => event.kind === 'stream');
        const begun = far.callsInARow;
        await server.query(`CREATE TABLE more_${delayMs} AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i`);
        await receiver.durable(await flushLsnOf(server));
        t.diagnostic(`streaming after ${begun}, durable ${far.callsInARow - begun} later`);
        assert.ok(begun <= 8, far.longestRow().join('\n'));
        const beside = await overALongLine(delayMs, backUp);
        t.diagnostic(`${beside.calls} calls in a row of a backup beside a receiver`);
        assert.ok(beside.calls <= 32, beside.row);
      });
    await countWithPatience(async (delayMs) => void (await count(delayMs)));
  });

  it('a segment that a recovering server asks for comes after six answers, the opening included', async (t) => {
    const [wal] = await server.query<{ lsn: string; system: string }>(
      'SELECT redo_lsn::text AS lsn, (SELECT system_identifier::text FROM pg_control_system()) AS system FROM pg_control_checkpoint()',
    );
    const name = formatSegmentName(1, parseLsn(wal!.lsn) >> 24n, 1 << 24);
    const destination = join(scratch, 'fetched', name);
    await mkdir(join(scratch, 'fetched'));
    await countWithPatience(async (delayMs) => {
      const { calls, row } = await overALongLine(delayMs, async (repository) => {
        const result = await fetchWalFile(repository, { system: wal!.system, name, destination });
        assert.equal(result.exitCode, WAL_FETCH_EXIT.placed, result.reason);
      });
      t.diagnostic(`${calls} calls in a row`);
      assert.ok(calls <= 6, row);
    });
  });
});
