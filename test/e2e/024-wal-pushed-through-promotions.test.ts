import assert from 'node:assert/strict';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { describeContinuity, type ToldAlarm } from '../../src/protect/wal/index.ts';
import { pushWalFile } from '../../src/protect/wal/push/index.ts';
import { openDiskStore } from '../../src/repository/index.ts';
import { type RecoveryTarget, runRestore } from '../../src/restore/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { promoteInPlace } from '../support/promote-in-place.ts';
import { historyOf, rowsUpTo } from '../support/protected-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';
import { onlyLineage } from '../support/wal-receiver.ts';

const TIMELINES = 5;
const FAILURES_MAX = 20;

it('WAL that is only pushed is followed through four promotions, with a backup that waits for it, and restored to moments on each timeline', async () => {
  const scratch = await makeScratchDirectory('pushed-promotions');
  try {
    // One sender is all that the base backup itself needs.
    const settings = { archive_mode: 'on', archive_command: 'false', max_wal_senders: '1', autovacuum: 'off' };
    await using server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
    const place = await makeRepository(scratch);
    await using archiver = startArchiver(server, place);
    await server.query('CREATE TABLE history (n int PRIMARY KEY)');
    await server.query('SELECT pg_switch_wal()');
    await archiver.caughtUp();
    const common = { repository: place.repository, stateDirectory: place.stateDirectory, clock: systemClock };
    await runBackup({
      ...common,
      source: targetOf(server.backupSocketUrl),
      cluster: 'main',
      progress: silentProgress,
      checkpoint: 'fast',
    });

    const steps: { timeline: number; lsn: bigint }[] = [];
    for (let timeline = 1; timeline <= TIMELINES; timeline++) {
      for (let row = 0; row < 3; row++) {
        await server.query(`INSERT INTO history VALUES (${steps.length + 1})`);
        const [{ lsn }] = (await server.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')) as [
          { lsn: string },
        ];
        steps.push({ timeline, lsn: parseLsn(lsn) });
        if (row === 1) await server.query('SELECT pg_switch_wal()');
      }
      if (timeline < TIMELINES) await promoteInPlace(server);
    }
    await server.query('SELECT pg_switch_wal()');
    await archiver.caughtUp();
    await archiver[Symbol.asyncDispose]();

    assert.deepEqual(archiver.alarms, []);
    const { timeline, runs } = describeContinuity(await onlyLineage(place.repository));
    assert.deepEqual([timeline, runs.length], [TIMELINES, 1]);
    const kinds = new Set(archiver.pushed.map((name) => name.replace(/^[0-9A-F]+(\.[0-9A-F]{8})?/, '')));
    assert.deepEqual([...kinds].sort(), ['', '.backup', '.history', '.partial']);

    let restores = 0;
    const rowsAt = async (target: RecoveryTarget) => {
      restores += 1;
      const owner = runsAsRoot ? { owner: nobody } : {};
      const start = { binDirectory: server.binDirectory };
      const result = await runRestore({
        ...common,
        into: join(scratch, `restored-${restores}`),
        target,
        start,
        ...owner,
      });
      try {
        return await historyOf(result.instance!.instance);
      } finally {
        await result.instance!.stop();
      }
    };
    assert.equal(await rowsAt({ kind: 'latest' }), rowsUpTo(steps.length));
    for (let chosen = 1; chosen <= TIMELINES; chosen++) {
      const index = steps.findIndex((step) => step.timeline === chosen) + 1;
      assert.equal(await rowsAt({ kind: 'lsn', lsn: steps[index]!.lsn }), rowsUpTo(index + 1), `timeline ${chosen}`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

/** What PostgreSQL's archiver does: history files first, then one file after the other, each again until it is kept. */
function startArchiver(server: PostgresServer, place: TestRepository) {
  const status = join(server.dataDirectory, 'pg_wal', 'archive_status');
  const alarms: ToldAlarm[] = [];
  const pushed: string[] = [];
  const stop = new AbortController();
  const listWaiting = async () => {
    const names = (await readdir(status)).filter((name) => name.endsWith('.ready')).map((name) => name.slice(0, -6));
    return names.sort((a, b) => Number(b.endsWith('.history')) - Number(a.endsWith('.history')) || (a < b ? -1 : 1));
  };
  const archiveOne = async (name: string) => {
    await pushWalFile({
      path: join(server.dataDirectory, 'pg_wal', name),
      store: openDiskStore(place.path),
      openRepository: async () => place.repository,
      ...{ stateDirectory: place.stateDirectory, cluster: 'main', clusterDefault: 'main', clock: systemClock },
      ...{ signal: stop.signal, onAlarm: (alarm: ToldAlarm) => void alarms.push(alarm) },
    });
    await rename(join(status, `${name}.ready`), join(status, `${name}.done`));
    pushed.push(name);
  };
  const work = (async () => {
    for (let failures = 0; !stop.signal.aborted; ) {
      const [next] = await listWaiting();
      if (next === undefined) await systemClock.sleep(20, stop.signal);
      else {
        try {
          await archiveOne(next);
          failures = 0;
        } catch (error) {
          // At a promotion the server renames files that wait already.
          failures += 1;
          if (failures > FAILURES_MAX) throw error;
          await systemClock.sleep(50, stop.signal);
        }
      }
    }
  })();
  work.catch(() => {}); // Told by whoever waits for it.
  return {
    alarms,
    pushed,
    caughtUp: async () => {
      while ((await listWaiting()).length > 0) await Promise.race([systemClock.sleep(20), work]);
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await work.catch(() => {}); // Told by `caughtUp`.
    },
  };
}
