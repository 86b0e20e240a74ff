import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HoldfastError, silentProgress, systemClock } from '../../src/lib/index.ts';
import { readControlFile } from '../../src/postgres/index.ts';
import { type ObjectStore, openDiskStore, openRepository } from '../../src/repository/index.ts';
import { MARKER_NAME, type RestoreResult, type StartOptions } from '../../src/restore/index.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { isAlive, killIfThere } from '../support/processes.ts';
import { historyOf, type ProtectedServer, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { testCredential } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const RUNNER = fileURLToPath(new URL('../support/restore-runner.ts', import.meta.url));
const rows = 12;

/** Rule A3: whatever keeps WAL from coming, the server never takes it for the end of WAL and opens early. */
describe('a store that fails while the server recovers', () => {
  let world: ProtectedServer;
  let count = 0;
  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off' });
    await world.backUp();
    // Several segments, so that the faults come when some of them have been replayed.
    for (let i = 0; i < 4; i++) {
      await world.write(3);
      await world.server.query('SELECT pg_switch_wal()');
    }
    await world.settle();
  });
  after(() => world?.dispose());

  /** Restores from a store that `spoil` changes at the moment when the server starts to recover. */
  async function restoreFrom(
    store: ObjectStore,
    spoil: () => void,
    fetch: NonNullable<StartOptions['fetch']> = {},
  ): Promise<RestoreResult> {
    const repository = await openRepository({ store, credential: testCredential, access: 'write', clock: systemClock });
    try {
      return await world.restore({
        repository,
        into: nextPlace(),
        target: { kind: 'latest' },
        ...(runsAsRoot ? { owner: nobody } : {}),
        start: { binDirectory: world.server.binDirectory, fetch: { aheadMax: 1, readsMax: 1, ...fetch } },
        progress: {
          ...silentProgress,
          begin: (stage) => {
            if (stage === 'replaying WAL') spoil();
          },
        },
      });
    } finally {
      await repository.close();
    }
  }

  function nextPlace(): string {
    count += 1;
    return join(world.scratch, `spoiled-${count}`);
  }

  const lastPlace = () => join(world.scratch, `spoiled-${count}`);

  /** The server is gone and never opened: still in recovery, on the old timeline, and nothing passes it off as restored. */
  async function assertNeverOpened(place: string): Promise<void> {
    const control = await readControlFile(place);
    assert.equal(control.timeline, 1);
    assert.notEqual(control.state, 'in production');
    assert.deepEqual(
      (await readdir(join(place, 'pg_wal'))).filter((name) => name.endsWith('.history')),
      [],
    );
    assert.ok(existsSync(join(place, 'recovery.signal')));
    assert.equal(existsSync(join(place, 'postmaster.pid')), false);
  }

  const faultyStore = () => new FaultyStore(openDiskStore(world.place.path));
  const readingWal = { kind: 'fail', call: 'getRange', name: 'wal/' } as const;

  it('recovers all the same when the trouble passes', async () => {
    const store = faultyStore();
    const result = await restoreFrom(store, () => {
      for (const nth of [1, 2, 4]) store.plan({ ...readingWal, nth });
    });
    try {
      assert.equal(await historyOf(result.instance!.instance), rowsUpTo(rows));
    } finally {
      await result.instance!.stop();
    }
  });

  it('stops it when the store is away for longer than is borne', async () => {
    const store = faultyStore();
    const restore = restoreFrom(store, () => store.plan(readingWal), { retryMsMax: 600 });
    await assert.rejects(restore, (error: HoldfastError) => {
      assert.equal(error.code, 'RESTORE_WAL_UNAVAILABLE');
      assert.equal(error.retryable, true);
      assert.match(error.detail ?? '', /The plan of this restore says that the file exists/);
      // What the server was told was not that WAL had ended.
      assert.match(
        error.detail ?? '',
        /could not restore file ".*" from archive: child process exited with exit code 201/,
      );
      return true;
    });
    await assertNeverOpened(lastPlace());
    const marker = JSON.parse(readFileSync(join(lastPlace(), MARKER_NAME), 'utf8')) as {
      state: string;
      reason: string;
    };
    assert.equal(marker.state, 'failed');
    assert.match(marker.reason, /could not get WAL file/);
  });

  it('stops it when a segment that the plan names is gone, in the middle of the WAL', async () => {
    const store = faultyStore();
    const segments: string[] = [];
    for await (const { name } of store.list('wal/')) if (name.includes('/segments/')) segments.push(name);
    assert.ok(segments.length >= 4, segments.join(' '));
    const error = () => new HoldfastError('OBJECT_ABSENT', 'cannot find object: planned by the test');
    const restore = restoreFrom(store, () => store.plan({ kind: 'fail', call: 'any', name: segments[3]!, error }));
    await assert.rejects(restore, { code: 'RESTORE_WAL_UNAVAILABLE' });
    await assertNeverOpened(lastPlace());
  });

  it('stops it when the store never answers', async () => {
    const inner = openDiskStore(world.place.path);
    let isHanging = false;
    const hanging = new Proxy(inner, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) =>
          isHanging && String(given[0]).startsWith('wal/') ? new Promise(() => {}) : value.apply(target, given);
      },
    });
    const restore = restoreFrom(
      hanging,
      () => {
        isHanging = true;
      },
      { readMsMax: 100, retryMsMax: 500 },
    );
    await assert.rejects(restore, { code: 'RESTORE_WAL_UNAVAILABLE', retryable: true });
    await assertNeverOpened(lastPlace());
  });

  it('stops it when the process that fetches WAL stands still or is killed', async () => {
    const into = nextPlace();
    const given = {
      repositoryPath: world.place.path,
      stateDirectory: world.place.stateDirectory,
      into,
      stopAt: 'replaying WAL',
      afterSteps: 2,
      binDirectory: world.server.binDirectory,
    };
    const runner = spawn(process.execPath, ['--no-warnings', RUNNER, JSON.stringify(given)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let pid = 0;
    try {
      // It stands still at the second segment, which it fetched as the server had asked for the first and will ask for more.
      await new Promise<void>((told) => runner.stdout.on('data', (text) => String(text).includes('still') && told()));
      pid = await postmasterOf(into);
      runner.kill('SIGKILL');
      while (isAlive(pid)) await systemClock.sleep(50);
      await assertNeverOpened(into);
    } finally {
      runner.kill('SIGKILL');
      if (pid !== 0) killIfThere(pid);
      await removeRunDirectory(into);
    }
  });
});

/** The server may need a moment to write down who it is. */
async function postmasterOf(dataDirectory: string): Promise<number> {
  for (;;) {
    const text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => ''); // Not written yet.
    const pid = Number(text.split('\n')[0]);
    if (pid > 0) return pid;
    await systemClock.sleep(20);
  }
}

/** A killed restore cannot remove the directory of its server's socket, whose place the server has written down. */
async function removeRunDirectory(dataDirectory: string): Promise<void> {
  const started = await readFile(join(dataDirectory, 'postmaster.opts'), 'utf8').catch(() => ''); // It was never started.
  const directory = /"config_file=([^"]+)\/postgresql\.conf"/.exec(started)?.[1];
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
}
