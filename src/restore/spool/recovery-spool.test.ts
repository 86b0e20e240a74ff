import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { placeAllWal, RecoverySpool, restoreCommand, restoreExit, SPOOL_DIRECTORY, WalFetcher } from './index.ts';

const first = '000000010000000000000001';
const second = '000000010000000000000002';
const third = '000000010000000000000003';

/** A data directory with the one folder that the command is run in and one it writes to. */
async function makeDataDirectory(): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-spool-'));
  await mkdir(join(path, 'pg_wal'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

interface Asked {
  code: number | null;
  stderr: string;
  placed: () => string;
}

/** Runs the command as PostgreSQL does: %f and %p put in, by the system's shell, in the data directory. */
function ask(dataDirectory: string, name: string): Promise<Asked> {
  const destination = 'pg_wal/RECOVERYXLOG';
  const command = restoreCommand().replace('%f', name).replace('%p', destination);
  const shell = spawn('/bin/sh', ['-c', command], { cwd: dataDirectory, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  shell.stderr.on('data', (part) => {
    stderr += part;
  });
  return new Promise((done, fail) => {
    shell.once('error', fail);
    shell.once('close', (code) =>
      done({ code, stderr, placed: () => readFileSync(join(dataDirectory, destination), 'utf8') }),
    );
  });
}

const contentOf = (name: string) => ({ pieces: [Buffer.from('WAL of '), Buffer.from(name)] });

/** A reader whose answer is a promise, as that of a store is. */
const later = (answer: (name: string) => Promise<{ pieces: Buffer[] }>) => (name: string) => ({
  pieces: (async function* () {
    yield* (await answer(name)).pieces;
  })(),
});

describe('the restore_command over a spool that holds everything', () => {
  it('places a file of the plan, again and again', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first], fetched: false });
    await spool.place(first, contentOf(first), { sync: true });
    for (let time = 0; time < 3; time++) {
      const asked = await ask(data.path, first);
      assert.equal(asked.code, restoreExit.placed);
      assert.equal(asked.placed(), `WAL of ${first}`);
    }
  });

  it('says 1 only of what the plan does not name', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first, '00000002.history'], fetched: false });
    assert.equal((await ask(data.path, second)).code, 1);
    assert.equal((await ask(data.path, '00000003.history')).code, 1);
    assert.equal((await ask(data.path, first.slice(0, 23))).code, 1);
    assert.equal((await ask(data.path, '.*')).code, 1);
    for (const planned of [first, '00000002.history']) {
      const missing = await ask(data.path, planned);
      assert.equal(missing.code, restoreExit.spoolBroken);
      assert.match(missing.stderr, /is not in the spool/);
    }
  });

  it('stops the server when script, plan or folder are gone or the target cannot be written', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first], fetched: false });
    await spool.place(first, contentOf(first), { sync: true });

    await rm(join(data.path, 'pg_wal'), { recursive: true });
    assert.equal((await ask(data.path, first)).code, restoreExit.spoolBroken);
    await rm(join(spool.directory, 'plan'));
    assert.equal((await ask(data.path, first)).code, restoreExit.spoolBroken);
    await rm(join(spool.directory, 'restore-wal'));
    assert.equal((await ask(data.path, first)).code, restoreExit.spoolBroken);
    await spool.dispose();
    assert.equal((await ask(data.path, first)).code, restoreExit.spoolBroken);
  });

  it('says nothing that PostgreSQL takes for the end of WAL, or for a wish to shut down, when something is wrong', () => {
    const { placed, notInPlan, ...wrong } = restoreExit;
    assert.deepEqual([placed, notInPlan], [0, 1]);
    for (const [name, code] of Object.entries<number>(wrong)) assert.ok(code > 125 && code !== 143 && code < 256, name);
  });

  it('is readable by nobody else', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await chmod(data.path, 0o755);
    await spool.create({ files: [first], fetched: true });
    assert.equal(statSync(join(data.path, SPOOL_DIRECTORY)).mode & 0o777, 0o700);
  });
});

describe('the fetcher', () => {
  const names = Array.from(
    { length: 40 },
    (_, i) => `0000000100000000000000${(i + 1).toString(16).toUpperCase().padStart(2, '0')}`,
  );

  it('brings what the server asks for, keeps a bounded window ahead, and takes away what was passed', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: names, fetched: true });
    let reads = 0;
    let readsMax = 0;
    const fetcher = new WalFetcher({
      spool,
      files: names,
      clock: systemClock,
      limits: { aheadMax: 4, readsMax: 2 },
      read: later(async (name) => {
        readsMax = Math.max(readsMax, ++reads);
        await systemClock.sleep(2);
        reads -= 1;
        return contentOf(name);
      }),
    });
    fetcher.start();
    try {
      for (const name of names) {
        const asked = await ask(data.path, name);
        assert.equal(asked.code, restoreExit.placed, asked.stderr);
        assert.equal(asked.placed(), `WAL of ${name}`);
        assert.ok((await spool.listReady()).length <= 4 + 2 + 2 + 2, 'the window is bounded');
      }
      assert.equal(readsMax, 2);
      assert.equal((await ask(data.path, '000000010000000000000029')).code, 1);
    } finally {
      await fetcher.stop();
    }
  });

  it('brings a file again that was passed long ago, as a server asks for after a restart', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: names, fetched: true });
    const fetcher = new WalFetcher({
      spool,
      files: names,
      clock: systemClock,
      limits: { aheadMax: 2 },
      read: later(async (name) => contentOf(name)),
    });
    fetcher.start();
    try {
      for (const number of [0, 20, 0, 1, 21]) {
        const asked = await ask(data.path, names[number]!);
        assert.equal(asked.code, restoreExit.placed, asked.stderr);
        assert.equal(asked.placed(), `WAL of ${names[number]}`);
      }
    } finally {
      await fetcher.stop();
    }
  });

  it('tries again while the store says that it may succeed later', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first], fetched: true });
    let failures = 2;
    const read = later(async (name) => {
      if (failures-- > 0) throw new HoldfastError('STORE_UNAVAILABLE', 'could not reach store', { retryable: true });
      return contentOf(name);
    });
    const fetcher = new WalFetcher({ spool, files: [first], clock: systemClock, read });
    fetcher.start();
    try {
      assert.equal((await ask(data.path, first)).code, restoreExit.placed);
    } finally {
      await fetcher.stop();
    }
  });

  for (const [what, error, limits] of [
    ['is absent', new HoldfastError('OBJECT_ABSENT', 'cannot find object "wal/x"'), {}],
    ['does not come in time', undefined, { readMsMax: 50, retryMsMax: 100 }],
    [
      'is refused for too long',
      new HoldfastError('STORE_UNAVAILABLE', 'could not reach store', { retryable: true }),
      { retryMsMax: 600 },
    ],
  ] as const) {
    it(`stops the server, and says why, when a file of the plan ${what}`, async () => {
      await using data = await makeDataDirectory();
      const spool = new RecoverySpool(data.path);
      await spool.create({ files: [first, second], fetched: true });
      const read = later((name) => {
        if (name === first) return Promise.resolve(contentOf(name));
        return error === undefined ? new Promise<never>(() => {}) : Promise.reject(error);
      });
      const fetcher = new WalFetcher({ spool, files: [first, second], clock: systemClock, read, limits });
      fetcher.start();
      try {
        assert.equal((await ask(data.path, first)).code, restoreExit.placed);
        const refused = await ask(data.path, second);
        assert.equal(refused.code, restoreExit.walUnavailable);
        assert.match(refused.stderr, new RegExp(`could not get WAL file "${second}"`));
        assert.equal(fetcher.failure?.code, 'RESTORE_WAL_UNAVAILABLE');
        // What is ready is still given, and what never existed still does not: only the hole stops the server.
        assert.equal((await ask(data.path, first)).code, restoreExit.placed);
        assert.equal((await ask(data.path, third)).code, restoreExit.notInPlan);
      } finally {
        await fetcher.stop();
      }
    });
  }

  it('stops the server when it is gone itself', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first, second], fetched: true, fetcherSilenceSecondsMax: 1 });
    await spool.place(first, contentOf(first), { sync: false });
    const asked = await ask(data.path, second);
    assert.equal(asked.code, restoreExit.fetcherDead);
    assert.match(asked.stderr, /has not been heard of for 1 s/);
  });

  it('stops the server when the spool cannot be written any more', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first], fetched: true, fetcherSilenceSecondsMax: 1 });
    const fetcher = new WalFetcher({
      spool,
      files: [first],
      clock: systemClock,
      read: later(async () => {
        await rm(join(spool.directory, 'wal'), { recursive: true });
        return contentOf(first);
      }),
    });
    fetcher.start();
    try {
      assert.ok(((await ask(data.path, first)).code ?? 0) > 125);
    } finally {
      await fetcher.stop();
    }
  });
});

describe('a file of the spool', () => {
  it('is padded with zeros to its size, and appears only when it is whole', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    await spool.create({ files: [first, second], fetched: false });
    await spool.place(first, { pieces: [Buffer.from('WAL')], paddedBytes: 8 }, { sync: true });
    assert.equal((await ask(data.path, first)).placed(), 'WAL\0\0\0\0\0');
    const breaking = (function* () {
      yield Buffer.from('half');
      throw new Error('broken off');
    })();
    await assert.rejects(spool.place(second, { pieces: breaking }, { sync: true }), /broken off/);
    const giveUp = new AbortController();
    const late = (function* () {
      yield Buffer.from('all');
      giveUp.abort();
    })();
    await assert.rejects(spool.place(second, { pieces: late }, { sync: true, signal: giveUp.signal }), {
      name: 'AbortError',
    });
    assert.deepEqual(readdirSync(join(spool.directory, 'wal')), [first], 'nothing of it is left');
  });
});

describe('filling the spool at once', () => {
  it('places every file of the plan, and names the one that cannot be had', async () => {
    await using data = await makeDataDirectory();
    const spool = new RecoverySpool(data.path);
    const files = [first, second, third];
    await spool.create({ files, fetched: false });
    const placed: string[] = [];
    const onPlaced = (name: string) => void placed.push(name);
    await placeAllWal({ spool, files, clock: systemClock, read: later(async (name) => contentOf(name)), onPlaced });
    assert.deepEqual(placed.sort(), files);
    assert.deepEqual((await spool.listReady()).sort(), files);
    await assert.rejects(
      placeAllWal({
        spool,
        files,
        clock: systemClock,
        read: later(async (name) => {
          if (name === second)
            throw new HoldfastError('OBJECT_DAMAGED', 'cannot read object "wal/y"', { detail: 'Expected a tag.' });
          return contentOf(name);
        }),
        onPlaced,
      }),
      { code: 'RESTORE_WAL_UNAVAILABLE', message: `could not get WAL file "${second}" of the restore` },
    );
  });
});
