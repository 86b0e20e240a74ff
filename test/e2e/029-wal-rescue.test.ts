import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chown, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { readWalInventory, type WalAlarm } from '../../src/protect/wal/index.ts';
import { rescueWal, type WalRescueOptions } from '../../src/protect/wal/rescue/index.ts';
import { runHoldfast } from '../support/command-line.ts';
import { historyOf, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { makeRepository, type TestRepository, testCredential } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { onlyLineage } from '../support/wal-receiver.ts';

const run = promisify(execFile);

async function rescue(place: TestRepository, of: Partial<WalRescueOptions>) {
  const alarms: WalAlarm[] = [];
  const report = await rescueWal({
    ...{
      repository: place.repository,
      stateDirectory: place.stateDirectory,
      clock: systemClock,
      progress: silentProgress,
    },
    ...{ dataDirectory: null, walDirectory: null, cluster: 'main', clusterDefault: 'main' },
    ...{ signal: new AbortController().signal, onAlarm: (alarm: WalAlarm) => void alarms.push(alarm), ...of },
  });
  return { ...report, alarms };
}

it('brings every acknowledged write of a primary that was killed, also from a read-only mount', async () => {
  const settings = { max_wal_size: '32MB', min_wal_size: '32MB', autovacuum: 'off' };
  const protectedServer = await startProtectedServer(18, settings);
  try {
    const { server, place, scratch, receiver, repository } = protectedServer;
    await protectedServer.write(3);
    // Files that were used before are renamed for later use: their old content must not be taken.
    for (let round = 0; round < 5; round++) {
      await server.query('CREATE TABLE IF NOT EXISTS filler AS SELECT i FROM generate_series(1, 100) i');
      await server.query('INSERT INTO filler SELECT i FROM generate_series(1, 60000) i');
      await server.query('SELECT pg_switch_wal()');
      await server.query('CHECKPOINT');
    }
    await protectedServer.backUp();
    await protectedServer.settle();
    await receiver.stop();
    const stoppedAt = (await onlyLineage(repository)).timelines.get(1)!.ranges.at(-1)!.end;
    await protectedServer.write(5);
    await server.query('SELECT pg_switch_wal()');
    await protectedServer.write(7);
    const lastAcknowledged = protectedServer.steps.at(-1)!;

    await assert.rejects(rescue(place, { dataDirectory: server.dataDirectory }), { code: 'WAL_RESCUE_RUNNING' });
    await server.kill9();
    // One more such file, as it is chance whether a checkpoint has made one.
    const [first] = await onlySegments(join(server.dataDirectory, 'pg_wal'));
    const later = join(server.dataDirectory, 'pg_wal', `${first!.slice(0, 22)}FE`);
    await copyFile(join(server.dataDirectory, 'pg_wal', first!), later);
    if (runsAsRoot) await chown(later, nobody.uid, nobody.gid);
    const before = await listFiles(server.dataDirectory);
    const { dataDirectory, release } = await mountReadOnly(server.dataDirectory, join(scratch, 'mounted'));
    try {
      const environment = {
        HOLDFAST_REPOSITORY: place.path,
        HOLDFAST_PASSPHRASE: (testCredential as { passphrase: string }).passphrase,
        HOLDFAST_STATE_DIR: place.stateDirectory,
      };
      const shown = await runHoldfast(['wal', 'rescue', dataDirectory, '--json'], { environment });
      assert.equal(shown.code, 0, shown.stdout + shown.stderr);
      const report = JSON.parse(shown.stdout.trim().split('\n').at(-1)!) as {
        commits: number;
        endBefore: string;
        end: string;
        gained: { start: string }[];
        gaps: unknown[];
        lastCommit: { xid: number };
        passedOver: { reason: string }[];
      };
      assert.ok(report.commits >= 12, `${report.commits} commits`);
      assert.equal(report.lastCommit.xid, lastAcknowledged.xid);
      assert.equal(parseLsn(report.endBefore), stoppedAt);
      assert.deepEqual([report.gained.length, report.gaps], [1, []]);
      assert.ok(parseLsn(report.end) >= lastAcknowledged.lsnAfter);
      assert.ok(
        report.passedOver.some(({ reason }) => /renamed for later use/.test(reason)),
        shown.stdout,
      );
    } finally {
      await release();
    }
    assert.deepEqual(await listFiles(server.dataDirectory), before, 'nothing was written there');
    const again = await rescue(place, { dataDirectory: server.dataDirectory });
    assert.deepEqual([again.gained, again.commits, again.alarms], [[], 0, []]);
    const { timelines } = await onlyLineage(repository);
    assert.ok(timelines.get(1)!.fragments.length > 0, 'the last segment is kept as far as it goes');

    const restored = await protectedServer.restore({
      target: { kind: 'latest' },
      start: { binDirectory: server.binDirectory },
      ...(runsAsRoot ? { owner: nobody } : {}),
    });
    assert.equal(await historyOf(restored.instance!.instance), rowsUpTo(15));
    await restored.instance!.stop();
  } finally {
    await protectedServer.dispose();
  }
});

it('takes WAL alone, and nothing from behind a broken file unless the repository has what is broken', async () => {
  const protectedServer = await startProtectedServer(18, { autovacuum: 'off', wal_keep_size: '256MB' });
  try {
    const { server, scratch } = protectedServer;
    await protectedServer.receiver.stop();
    await protectedServer.write(2);
    for (let round = 0; round < 3; round++)
      await server.query('SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS t (i int); INSERT INTO t VALUES (1)');
    await server.kill9();
    const wal = join(server.dataDirectory, 'pg_wal');
    const names = await onlySegments(wal);

    const whole = await makeRepository(scratch, 'whole');
    const all = await rescue(whole, { walDirectory: wal });
    assert.deepEqual([all.endBefore, all.gained.length, all.gaps, all.unconnected, all.alarms], [null, 1, [], [], []]);

    // A broken file in the middle: what lies behind it could be of an earlier use of the files.
    const copy = join(scratch, 'broken');
    await mkdir(copy);
    for (const name of names) await cp(join(wal, name), join(copy, name));
    const bytes = await readFile(join(copy, names[1]!));
    bytes[100]! ^= 1;
    await writeFile(join(copy, names[1]!), bytes);
    const half = await makeRepository(scratch, 'half');
    const broken = await rescue(half, { walDirectory: copy });
    assert.ok(broken.end < all.end);
    assert.ok(
      broken.passedOver.some(({ file }) => file === names[2]),
      JSON.stringify(broken.passedOver),
    );
    assert.deepEqual([broken.gaps, broken.unconnected], [[], names.slice(2)], 'what may be lost is named');
    // Where the repository has what is broken here, the rest is proved to go on from it.
    const beside = await rescue(whole, { walDirectory: copy });
    assert.deepEqual([beside.gained, beside.unconnected, beside.alarms], [[], [], []]);
    assert.equal(beside.end, all.end);

    const { lineages } = await readWalInventory(whole.repository);
    assert.equal(lineages.length, 1);
    await assert.rejects(rescue(half, { walDirectory: scratch }), { code: 'WAL_OWNER_UNKNOWN' });
  } finally {
    await protectedServer.dispose();
  }
});

/** The directory under another path that nobody can write to, where the system lets us mount. */
async function mountReadOnly(
  path: string,
  at: string,
): Promise<{ dataDirectory: string; release: () => Promise<void> }> {
  const asIs = { dataDirectory: path, release: async () => {} };
  if (!runsAsRoot) return asIs;
  await mkdir(at);
  try {
    await run('mount', ['--bind', path, at]);
    await run('mount', ['-o', 'remount,ro,bind', at]);
  } catch {
    // A container may not mount; then the directory as it is has to do, and that nothing was written is checked all the same.
    await rm(at, { recursive: true });
    return asIs;
  }
  return { dataDirectory: at, release: () => run('umount', [at]).then(() => {}) };
}

async function onlySegments(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort();
}

async function listFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true });
  return entries.sort();
}
