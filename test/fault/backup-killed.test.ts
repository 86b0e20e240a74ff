import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chown, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PACK_ENTRY_BYTES, readPackDirectory } from '../../src/repository/index.ts';
import { documentOf, type RunningCommand, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, reopenRepository, testPassphrase } from '../support/repository.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';

const MIB = 1 << 20;
/** What the server has beside a fresh cluster: a file that no compressor makes smaller. */
const NOISE_BYTES = 192 * MIB;
/** Slow enough that it is killed in the middle. */
const RATE_BYTES = 96 * MIB;
const WAIT_MS = 60_000;

let server: PostgresServer;
let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('backup-killed');
  server = await startPostgres({ major: 18 });
  const noise = join(server.dataDirectory, 'noise');
  await writeFile(noise, randomBytes(NOISE_BYTES));
  if (runsAsRoot) await chown(noise, nobody.uid, nobody.gid);
});
after(async () => {
  await server.dispose();
  await rm(scratch, { recursive: true, force: true });
});

/** The nice value of each thread of a process. */
async function nicenessOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  return threads.map((thread) => {
    // The name of a thread, in brackets, may hold spaces; the nice value is the 17th field behind it.
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[16]);
  });
}

/** Waits until the command has written an index object, so that some of what it stored is known to whoever comes next. */
async function untilIndexed(path: string, command: RunningCommand): Promise<void> {
  let hasEnded = false;
  void command.ended.then(() => {
    hasEnded = true;
  });
  for (const end = Date.now() + WAIT_MS; Date.now() < end; await delay(20)) {
    assert.ok(!hasEnded, 'the backup is still on its way');
    const found = await readdir(join(path, 'index')).catch(() => []);
    if (found.length > 0) return;
  }
  assert.fail('an index object is written while the backup runs');
}

interface Known {
  readonly snapshots: number;
  readonly chunks: readonly { readonly id: string; readonly copies: number }[];
  readonly bytes: number;
}

/** What a repository knows, as another process sees it. */
async function readKnown(path: string): Promise<Known> {
  const repository = await reopenRepository(path, 'read');
  const index = await repository.loadIndex();
  try {
    const { snapshots } = await repository.listSnapshots();
    const ids: Buffer[] = [];
    for (const { packId } of index.listPacks()) {
      const { entries } = await readPackDirectory(repository.store, repository.keys, packId);
      for (let at = 0; at < entries.length; at += PACK_ENTRY_BYTES) ids.push(entries.subarray(at, at + 32));
    }
    const places = ids.map((id) => ({ id, found: index.lookup(id) }));
    return {
      snapshots: snapshots.length,
      chunks: places.map(({ id, found }) => ({ id: id.toString('hex'), copies: found.length })),
      bytes: places.reduce((bytes, { found }) => bytes + found[0]!.rawLength, 0),
    };
  } finally {
    index.close();
    await repository.close();
  }
}

describe('a backup that is killed', () => {
  it('leaves nothing listed, and what it stored is not stored again by the next', async () => {
    const { path, stateDirectory, repository } = await makeRepository(scratch);
    await repository.close();
    const environment = {
      DATABASE_URL: server.backupSocketUrl,
      HOLDFAST_REPOSITORY: path,
      HOLDFAST_PASSPHRASE: testPassphrase,
      HOLDFAST_STATE_DIR: stateDirectory,
    };
    const backup = ['backup', '--checkpoint', 'fast', '--type', 'full', '--workers', '2', '--json'];
    const first = startHoldfast([...backup, '--low-priority', '--max-rate', String(RATE_BYTES)], { environment });
    await untilIndexed(path, first);
    const niceness = await nicenessOf(first.child.pid!);
    first.child.kill('SIGKILL');
    assert.equal((await first.ended).code, null);
    // The main thread and the worker; those that Node starts by itself are older than our wish.
    assert.ok(niceness.filter((nice) => nice === 19).length >= 2, `nice values ${niceness.join(', ')}`);

    const left = await readKnown(path);
    assert.equal(left.snapshots, 0);
    assert.ok(left.bytes >= 48 * MIB, `${left.bytes} bytes are known`);

    const second = documentOf<{ storedBytes: number; bytes: number }>(await runHoldfast(backup, { environment }));
    assert.ok(second.bytes > NOISE_BYTES);
    assert.ok(
      second.storedBytes < second.bytes - left.bytes,
      `${second.storedBytes} of ${second.bytes} bytes were stored, ${left.bytes} were known`,
    );
    const ended = await readKnown(path);
    assert.equal(ended.snapshots, 1);
    const wanted = new Set(left.chunks.map(({ id }) => id));
    const again = ended.chunks.filter(({ id, copies }) => wanted.has(id) && copies !== 1);
    assert.deepEqual(again, [], 'no chunk of the first is stored twice');
  });
});
