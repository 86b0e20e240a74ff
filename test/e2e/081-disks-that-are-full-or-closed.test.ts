import assert from 'node:assert/strict';
import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseLsn } from '../../src/postgres/index.ts';
import { type CommandRun, documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory, runsAsRoot } from '../support/scratch.ts';
import { mountSmallDisk, type SmallDisk, whyNoSmallDisk } from '../support/small-disk.ts';

const MIB = 1024 * 1024;

interface ErrorDocument {
  error: { code: string; message: string; detail?: string; hints: string[]; retryable: boolean };
}

/** Every command that only looks, with what it needs to be told. */
const readingCommands = [
  ['list'],
  ['show', 'SNAPSHOT'],
  ['status'],
  ['repository', 'info'],
  ['wal', 'status'],
  ['verify', '--read-only'],
  ['restore', '--dry-run', '--into', 'INTO'],
];

describe('a disk that is full or closed', () => {
  let server: PostgresServer;
  let scratch: string;
  let count = 0;

  before(async () => {
    scratch = await makeScratchDirectory('bad-disks');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    // Not to be compressed, so that it takes its place.
    await server.query(`CREATE TABLE item AS
      SELECT n, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 30) WHERE n = n) AS text
      FROM generate_series(1, 12000) n`);
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** A repository below `directory`, created, and what the commands on it see. */
  async function makeRepository(directory: string): Promise<Record<string, string>> {
    count += 1;
    const home = join(scratch, `home-${count}`);
    await mkdir(home);
    const environment = {
      DATABASE_URL: server.backupUrl,
      HOLDFAST_REPOSITORY: join(directory, 'objects'),
      HOLDFAST_STATE_DIR: join(home, 'state'),
      HOLDFAST_CLUSTER: 'shop',
    };
    const keyFile = join(home, 'key');
    const created = await runHoldfast(['repository', 'init', '--generate-key-file', keyFile], { environment });
    assert.equal(created.code, 0, created.stderr);
    return { ...environment, HOLDFAST_KEY_FILE: keyFile };
  }

  const backUp = (environment: Record<string, string>) =>
    runHoldfast(['backup', '--checkpoint', 'fast', '--json'], { environment });

  /** One that tells what it could not do, where, and what helps. */
  function assertClear(run: CommandRun, code: number, errorCode: RegExp): void {
    assert.equal(run.code, code, run.stderr);
    const { error } = documentOf<ErrorDocument>(run);
    assert.match(error.code, errorCode, run.stderr);
    assert.ok(error.hints.length > 0, `no hint in: ${run.stderr}`);
    assert.doesNotMatch(run.stderr, /^\s+at /m);
  }

  describe('as a repository', { skip: whyNoSmallDisk() }, () => {
    let disk: SmallDisk;
    let environment: Record<string, string>;

    before(async () => {
      disk = await mountSmallDisk(join(scratch, 'small'), 96 * MIB);
      environment = await makeRepository(disk.path);
    });
    after(() => disk?.[Symbol.asyncDispose]());

    it('stops a backup with a clear error whenever it fills up, lists no half of one, and serves again once there is space', async () => {
      // What one attempt has stored the next one need not: in the end even a small disk would do.
      for (const freeMib of [0, 1, 3]) {
        await disk.fillUpTo(freeMib * MIB);
        const failed = await backUp(environment);
        await disk.empty();
        assertClear(failed, 1, /^STORE_FULL$/);
        const listed = await runHoldfast(['list', '--json'], { environment });
        assert.deepEqual(documentOf(listed).snapshots, [], `a backup is listed that ended with ${freeMib} MiB free`);
      }
      const good = await backUp(environment);
      assert.equal(good.code, 0, good.stderr);
      const verified = await runHoldfast(['verify', '--all', '--json'], { environment });
      assert.equal(verified.code, 0, verified.stdout);
    });

    it('keeps a stream of WAL waiting, which says so and loses nothing', async () => {
      const stream = startHoldfast(['wal', 'stream', '--events'], { environment });
      let from = '';
      try {
        await stream.said(/"kind":"state","state":"streaming"/);
        from = await flushLsn();
        await disk.fillUpTo(0);
        await server.query("SELECT pg_logical_emit_message(true, 'fill', repeat(md5(random()::text), 100000))");
        await stream.said(/STORE_FULL/);
        await disk.empty();
        await server.query('CREATE TABLE after_the_full_disk AS SELECT 1 AS n; SELECT pg_switch_wal()');
        await untilDurable(await flushLsn());
      } finally {
        stream.child.kill('SIGTERM');
        await stream.ended;
      }
      const run = await runHoldfast(['wal', 'status', '--json'], { environment });
      assert.equal(run.code, 0, run.stdout);
      const [lineage] = documentOf<{ lineages: { gaps: { end: string }[] }[] }>(run).lineages;
      const since = lineage!.gaps.filter(({ end }) => parseLsn(end) > parseLsn(from));
      assert.deepEqual(since, [], 'WAL is missing that the slot held');
    });

    async function flushLsn(): Promise<string> {
      const [row] = await server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
      return row!.lsn;
    }

    async function untilDurable(lsn: string): Promise<void> {
      for (let tries = 0; tries < 200; tries++) {
        const run = await runHoldfast(
          ['restore', '--dry-run', '--into', join(scratch, 'none'), '--to', lsn, '--json'],
          {
            environment,
          },
        );
        if (run.code === 0) return;
        assert.equal(run.code, 2, run.stderr);
      }
      assert.fail(`WAL up to ${lsn} never came`);
    }

    it('is read by every command that only looks while it is read-only, and refused by every other', async () => {
      const listed = await runHoldfast(['list', '--json'], { environment });
      const [{ snapshot }] = documentOf<{ snapshots: [{ snapshot: string }] }>(listed).snapshots;
      const into = join(scratch, 'from-read-only');
      await disk.setReadOnly(true);
      try {
        for (const words of readingCommands) {
          const filled = words.map((word) => (word === 'SNAPSHOT' ? snapshot : word === 'INTO' ? into : word));
          const run = await runHoldfast([...filled, '--json'], { environment });
          // A check may have found something, such as WAL that nobody brings here.
          assert.ok([0, 3].includes(run.code ?? -1), `${words.join(' ')}: ${run.stderr}${run.stdout}`);
          assert.ok(!('error' in documentOf(run)), run.stdout);
        }
        for (const words of [['backup'], ['verify'], ['wal', 'stream']]) {
          const run = await runHoldfast([...words, '--json'], { environment });
          assertClear(run, 1, /^STORE_/);
        }
        // Data in need is not held back because nobody can note that it was given out; that is said instead.
        const restored = await runHoldfast(['restore', '--into', into, '--json'], { environment });
        assert.equal(restored.code, 0, restored.stderr);
        const { notes } = documentOf<{ notes: string[] }>(restored);
        assert.match(notes.join('\n'), /The ledger has no entry that this restore was done/);
      } finally {
        await disk.setReadOnly(false);
      }
    });
  });

  describe('to restore to', { skip: whyNoSmallDisk() }, () => {
    it('is refused when it is too small, and when it fills up meanwhile the same command goes on later', async () => {
      const environment = await makeRepository(scratch);
      const backup = await backUp(environment);
      assert.equal(backup.code, 0, backup.stderr);
      await using disk = await mountSmallDisk(join(scratch, 'target'), 160 * MIB);
      const into = join(disk.path, 'restored');
      const words = ['restore', '--into', into, '--json'];

      await disk.fillUpTo(20 * MIB);
      assertClear(await runHoldfast(words, { environment }), 1, /^RESTORE_SPACE_SHORT$/);
      await assert.rejects(stat(into), { code: 'ENOENT' });
      await disk.empty();

      await disk.fillUpTo(70 * MIB);
      const cut = startHoldfast(['restore', '--into', into, '--events'], { environment });
      await cut.said(/"event":"proposal"/);
      await disk.fillUpTo(0);
      const failed = await cut.ended;
      assertClear(failed, 1, /^RESTORE_TARGET_WRITE_FAILED$/);
      await assert.rejects(
        stat(join(into, 'global', 'pg_control')),
        { code: 'ENOENT' },
        'half a restore could be started',
      );

      await disk.empty();
      const again = await runHoldfast(words, { environment });
      assert.equal(again.code, 0, again.stderr);
      await giveToServerUser(into);
    });
  });

  it('or directory that is closed to us is named, whatever was asked for', async () => {
    const directory = join(scratch, 'closed');
    await mkdir(directory);
    const environment = await makeRepository(directory);
    const { code } = await backUp(environment);
    assert.equal(code, 0);
    // Root may read everything, unless it gives that right away.
    const through = runsAsRoot ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'] : [];
    const repository = environment.HOLDFAST_REPOSITORY!;
    await giveToServerUser(repository);
    await chmod(repository, 0o000);
    try {
      for (const words of [['list'], ['backup'], ['status'], ['verify'], ['wal', 'stream']]) {
        const run = await runHoldfast([...words, '--json'], { environment, through });
        assertClear(run, 1, /^STORE_DENIED$/);
        assert.ok(run.stderr.includes(repository), run.stderr);
      }
    } finally {
      await chmod(repository, 0o700);
    }
  });
});
