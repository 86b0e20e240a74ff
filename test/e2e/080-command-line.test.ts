import assert from 'node:assert/strict';
import { chmod, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { findUndocumented } from '../support/documented-members.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { isAlive } from '../support/processes.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const passphrase = 'open, sesame street';
const examplePlan = fileURLToPath(new URL('../../examples/wishcraft/demo/holdfast.config.ts', import.meta.url));

interface BackupDocument {
  snapshot: string;
  bytes: number;
  storedBytes: number;
  files: number;
  wal: { system: string; lineage: string; start: string; end: string };
}

interface RestoreDocument {
  proposal: { target: { reachedLsn: string } };
  reached: { lsn: string };
  instance: { pid: number; socketDirectory: string; port: number };
}

interface ErrorDocument {
  error: { code: string; message: string; hints: string[] };
}

describe('the command line', () => {
  let server: PostgresServer;
  let scratch: string;
  let repositoryCount = 0;

  before(async () => {
    scratch = await makeScratchDirectory('command-line');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    await server.query('CREATE TABLE item AS SELECT n, md5(n::text) AS text FROM generate_series(1, 20000) n');
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** Environment for a repository of its own, created. */
  async function makeRepository(): Promise<{ environment: Record<string, string>; directory: string }> {
    repositoryCount += 1;
    const home = join(scratch, `repository-${repositoryCount}`);
    await mkdir(home);
    const environment = {
      DATABASE_URL: server.backupUrl,
      HOLDFAST_REPOSITORY: join(home, 'objects'),
      HOLDFAST_KEY_FILE: join(home, 'key'),
      HOLDFAST_STATE_DIR: join(home, 'state'),
      HOLDFAST_CLUSTER: 'shop',
    };
    const { HOLDFAST_KEY_FILE: keyFile, ...others } = environment;
    const created = await runHoldfast(['repository', 'init', '--generate-key-file', keyFile], { environment: others });
    assert.equal(created.code, 0, created.stderr);
    return { environment, directory: environment.HOLDFAST_REPOSITORY };
  }

  async function backUp(environment: Record<string, string>, ...flags: string[]): Promise<BackupDocument> {
    const run = await runHoldfast(['backup', '--checkpoint', 'fast', '--json', ...flags], { environment });
    assert.equal(run.code, 0, run.stderr);
    return documentOf<BackupDocument>(run);
  }

  it('creates no key silently, makes one for its owner alone when asked, and overwrites nothing', async () => {
    const environment = {
      HOLDFAST_REPOSITORY: join(scratch, 'fresh'),
      HOLDFAST_STATE_DIR: join(scratch, 'fresh-state'),
    };
    const without = await runHoldfast(['repository', 'init'], { environment });
    assert.equal(without.code, 2);
    assert.match(without.stderr, /--generate-key-file/);
    await assert.rejects(stat(environment.HOLDFAST_REPOSITORY), { code: 'ENOENT' });

    const key = join(scratch, 'fresh.key');
    const created = await runHoldfast(['repository', 'init', '--generate-key-file', key, '--json'], { environment });
    assert.equal(created.code, 0, created.stderr);
    assert.equal((await stat(key)).mode & 0o777, 0o600);
    assert.match(String(documentOf(created).repository), /^[0-9a-f]{32}$/);

    const content = await readFile(key, 'utf8');
    const again = await runHoldfast(['repository', 'init', '--generate-key-file', key, '--json'], { environment });
    assert.equal(again.code, 4);
    assert.equal(documentOf<ErrorDocument>(again).error.code, 'KEY_FILE_EXISTS');
    assert.equal(await readFile(key, 'utf8'), content);

    const second = join(scratch, 'second.key');
    const taken = await runHoldfast(['repository', 'init', '--generate-key-file', second], { environment });
    assert.equal(taken.code, 4);
    await assert.rejects(stat(second), { code: 'ENOENT' }, 'a key that opens nothing is left behind');
  });

  it('backs up, lists, shows and verifies, with one document on the last line each', async () => {
    const { environment } = await makeRepository();
    const empty = await runHoldfast(['status', '--json'], { environment });
    assert.equal(empty.code, 3);
    assert.deepEqual(documentOf(empty).well, false);

    const first = await backUp(environment);
    const second = await backUp(environment, '--tag', 'release', '--tag', 'audit');
    assert.ok(first.bytes > 20_000_000 && second.bytes > 20_000_000);
    assert.ok(second.storedBytes < first.storedBytes / 5, `${second.storedBytes} of ${first.storedBytes}`);

    const listed = documentOf<{
      snapshots: { snapshot: string; tags: string[]; level: string; restorable: { from: string } }[];
    }>(await runHoldfast(['list', '--json'], { environment }));
    assert.deepEqual(
      listed.snapshots.map(({ snapshot, tags, level, restorable }) => [snapshot, tags, level, restorable.from]),
      [
        [first.snapshot, [], 'stored', first.wal.end],
        [second.snapshot, ['release', 'audit'], 'stored', second.wal.end],
      ],
    );

    const verified = await runHoldfast(['verify', '--all', '--json'], { environment });
    assert.equal(verified.code, 0, verified.stderr);
    assert.equal(documentOf(verified).sound, true);

    const shown = await runHoldfast(['show', first.snapshot.slice(0, 10), '--json'], { environment });
    assert.equal(documentOf(shown).level, 'verified');
    assert.equal(documentOf(shown).files, first.files);

    const info = await runHoldfast(['repository', 'info', '--json'], { environment });
    assert.equal(documentOf(info).snapshots, 2);

    for (const words of [['list'], ['show', first.snapshot], ['status'], ['repository', 'info'], ['wal', 'status']]) {
      const document = documentOf(await runHoldfast([...words, '--json'], { environment }));
      const command = words.filter((word) => word !== first.snapshot).join(' ');
      assert.deepEqual(await findUndocumented(command, document), [], command);
      const text = await runHoldfast(words, { environment });
      assert.equal(text.code, 0, `${command}: ${text.stdout}${text.stderr}`);
      assert.ok(text.stdout.length > 100, words.join(' '));
      assert.ok(!text.stdout.includes('\u001B'), 'colours in a pipe');
    }
  });

  it('tells by its exit code what is wrong: usage, key, a check that found something', async () => {
    const { environment, directory } = await makeRepository();
    const codeOf = async (words: string[], changes: Record<string, string> = {}) => {
      const run = await runHoldfast([...words, '--json'], { environment: { ...environment, ...changes } });
      return [run.code, documentOf<Partial<ErrorDocument>>(run).error?.code];
    };
    assert.deepEqual(await codeOf(['bakcup']), [2, 'USAGE_INVALID']);
    assert.deepEqual(await codeOf(['backup', '--colour']), [2, 'USAGE_INVALID']);
    assert.deepEqual(await codeOf(['show', 'abcdef']), [2, 'SNAPSHOT_ABSENT']);
    assert.deepEqual(await codeOf(['list'], { HOLDFAST_REPOSITORY: '' }), [2, 'PLAN_INVALID']);
    assert.deepEqual(await codeOf(['list'], { HOLDFAST_REPOSITORY: 'ftp://bucket' }), [2, 'STORE_LOCATION_INVALID']);
    assert.deepEqual(await codeOf(['list'], { HOLDFAST_REPOSITORY: join(scratch, 'none') }), [1, 'REPOSITORY_ABSENT']);
    const other = await makeRepository();
    const { HOLDFAST_KEY_FILE } = other.environment;
    assert.deepEqual(await codeOf(['list'], { HOLDFAST_KEY_FILE: HOLDFAST_KEY_FILE! }), [1, 'REPOSITORY_KEY_REJECTED']);

    await backUp(environment);
    const [pack] = await readdir(join(directory, 'packs'));
    await flipBit(join(directory, 'packs', pack!), 1_000);
    const readOnly = await runHoldfast(['verify', '--read-only', '--json'], { environment });
    assert.equal(readOnly.code, 3);
    assert.deepEqual(
      documentOf<{ damagedPacks: { object: string }[] }>(readOnly).damagedPacks[0]?.object,
      `packs/${pack}`,
    );
    // What only the server has is told and is no problem, as no receiver was ever to run.
    await server.query('CREATE TABLE after_the_backup (n int)');
    assert.deepEqual(await codeOf(['status']), [0, undefined]);
    assert.deepEqual(await codeOf(['verify']), [3, undefined]);
    assert.deepEqual(await codeOf(['status']), [3, undefined]);
  });

  it('reads the example plan, and one that lies in a folder of its own', async () => {
    const { environment } = await makeRepository();
    const { HOLDFAST_CLUSTER: _, HOLDFAST_KEY_FILE, ...rest } = environment;
    const folder = join(scratch, 'plan');
    await mkdir(folder);
    await cp(examplePlan, join(folder, 'holdfast.config.ts'));
    await writeFile(
      join(folder, 'own.config.ts'),
      `import { definePlan } from 'holdfast';
       const cluster: string = 'own_name';
       export default definePlan({
         clusters: [{ name: cluster, connection: { env: 'DATABASE_URL' } }],
         repository: { primary: ${JSON.stringify(environment.HOLDFAST_REPOSITORY)}, keyFile: ${JSON.stringify(HOLDFAST_KEY_FILE)} },
       });`,
    );
    const own = await runHoldfast(['status', '--json', '--plan', 'own.config.ts'], {
      environment: { ...rest, HOLDFAST_REPOSITORY: '' },
      directory: folder,
    });
    assert.equal(own.code, 3);
    assert.equal(documentOf<{ clusters: { cluster: string }[] }>(own).clusters[0]?.cluster, 'own_name');
    assert.equal(own.stderr, '');

    const example = await runHoldfast(['status', '--json'], {
      environment: { ...rest, HOLDFAST_KEY_FILE: HOLDFAST_KEY_FILE! },
      directory: folder,
    });
    assert.equal(documentOf<{ clusters: { cluster: string }[] }>(example).clusters[0]?.cluster, 'wishcraft');
  });

  it('never shows a secret, whatever goes wrong and however much is asked for', async () => {
    const home = join(scratch, 'secrets');
    await mkdir(home);
    const environment = {
      DATABASE_URL: server.backupUrl,
      HOLDFAST_REPOSITORY: join(home, 'objects'),
      HOLDFAST_PASSPHRASE: passphrase,
      HOLDFAST_STATE_DIR: join(home, 'state'),
      HOLDFAST_DEBUG: '1',
    };
    const databasePassword = new URL(server.backupUrl).password;
    const wrongUrl = server.backupUrl.replace(databasePassword, 'not the password');
    const runs: [string[], Record<string, string>][] = [
      [['repository', 'init'], {}],
      [['backup', '--events'], {}],
      [['status'], {}],
      [['repository', 'info', '--json'], {}],
      [['backup'], { DATABASE_URL: wrongUrl }],
      [['backup'], { DATABASE_URL: `postgresql://ann:${databasePassword}@127.0.0.1:1/x y` }],
      [['backup'], { DATABASE_URL: `host=127.0.0.1 port=nonsense password=${databasePassword}` }],
      [['backup'], { DATABASE_URL: databasePassword }],
      [['list'], { HOLDFAST_PASSPHRASE: `${passphrase} and more` }],
      [['backup', '--database', server.backupUrl], {}],
    ];
    for (const [words, changes] of runs) {
      const { stdout, stderr } = await runHoldfast(words, { environment: { ...environment, ...changes } });
      for (const secret of [passphrase, databasePassword, 'not the password', encodeURIComponent(passphrase)]) {
        assert.ok(!`${stdout}${stderr}`.includes(secret), `${words.join(' ')} shows a secret:\n${stdout}${stderr}`);
      }
    }
  });

  it('tells programs what happens, a line of JSON each', async () => {
    const { environment } = await makeRepository();
    const run = await runHoldfast(['backup', '--checkpoint', 'fast', '--events'], { environment });
    assert.equal(run.code, 0, run.stderr);
    const lines = run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const events = lines.slice(0, -1).map(({ event }) => event);
    assert.ok(events.includes('stage-begun') && events.includes('stage-finished'), events.join(' '));
    assert.ok(lines.slice(0, -1).every(({ at }) => /Z$/.test(String(at))));
    assert.match(String(lines.at(-1)?.snapshot), /^[0-9a-f]{64}$/);
  });

  it('ends cleanly with 130 when it is interrupted, and lists no half a backup', async () => {
    const { environment } = await makeRepository();
    const words = ['backup', '--checkpoint', 'fast', '--max-rate', '64KiB', '--events'];
    const slow = startHoldfast(words, { environment });
    await slow.said(/"event":"progress","at":"[^"]*","stage":"reading data files"/);
    slow.child.kill('SIGINT');
    const { code, stderr, stdout } = await slow.ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /interrupted by SIGINT/);
    assert.equal(documentOf<ErrorDocument>({ code, stderr, stdout }).error.code, 'INTERRUPTED');
    const listed = await runHoldfast(['list', '--json'], { environment });
    assert.deepEqual(documentOf(listed).snapshots, []);
    await backUp(environment);
  });

  it('streams WAL until it is stopped, gives it back with the codes of PostgreSQL, and says how it stands', async () => {
    const { environment } = await makeRepository();
    const { wal } = await backUp(environment);
    const stream = startHoldfast(['wal', 'stream', '--events'], { environment });
    await stream.said(/"kind":"state","state":"streaming"/);
    const [{ name } = { name: '' }] = await server.query<{ name: string }>(
      'SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name',
    );
    const content = await segmentAfterSwitch(name);
    await stream.said(new RegExp(`"kind":"segment-stored","segment":"${name}"`));

    const running = await runHoldfast(['status', '--json'], { environment });
    assert.equal(running.code, 0, running.stdout);
    const [cluster] = documentOf<{ clusters: { wal: { receiver: { running: boolean } } }[] }>(running).clusters;
    assert.equal(cluster?.wal.receiver.running, true);

    stream.child.kill('SIGTERM');
    const ended = await stream.ended;
    assert.equal(ended.code, 130, ended.stderr);
    assert.match(String(documentOf(ended).durableLsn), /^[0-9A-F]+\/[0-9A-F]+$/);

    const fetch = async (file: string, changes: Record<string, string> = {}, flags = ['--system', wal.system]) => {
      const destination = join(scratch, `fetched-${file}`);
      const all = { environment: { ...environment, ...changes } };
      const { code } = await runHoldfast(['wal', 'fetch', file, destination, ...flags], all);
      return { code, destination };
    };
    const placed = await fetch(name);
    assert.equal(placed.code, 0);
    assert.ok((await readFile(placed.destination)).equals(content), 'the segment differs from the server');
    assert.equal((await fetch('000000010000000900000000')).code, 1);
    assert.equal((await fetch('00000002.history')).code, 1);
    // Anything else must never look like the end of the WAL (rule A3).
    assert.equal((await fetch(name, { HOLDFAST_REPOSITORY: join(scratch, 'none') })).code, 126);
    assert.equal((await fetch(name, { HOLDFAST_REPOSITORY: '' })).code, 126);
    assert.equal((await fetch(name, { HOLDFAST_KEY_FILE: '/dev/null' })).code, 126);
    assert.equal((await fetch(name, {}, ['--system', '1'])).code, 126);
    assert.equal((await fetch(name, {}, ['--sistem', '1'])).code, 126);
    assert.equal((await runHoldfast(['wal', 'fetch', name], { environment })).code, 126);
    // PostgreSQL runs it in its data directory, from which it reads whose WAL is wanted.
    const inData = await runHoldfast(['wal', 'fetch', name, join(scratch, 'in-data')], {
      environment,
      directory: server.dataDirectory,
    });
    assert.equal(inData.code, 0, inData.stderr);
  });

  it('shows what a restore would do, does it, starts the server, and refuses to do harm', async () => {
    const { environment } = await makeRepository();
    await backUp(environment);
    const into = join(scratch, 'restored');
    const restore = (...words: string[]) =>
      runHoldfast(['restore', '--into', into, ...words, '--json'], { environment });

    const dry = await restore('--dry-run');
    assert.equal(dry.code, 0, dry.stderr);
    assert.deepEqual(await findUndocumented('restore', documentOf(dry)), []);
    await assert.rejects(stat(into), { code: 'ENOENT' });
    assert.equal((await restore('--to', '2026-11-23 09:00:00')).code, 2);
    const unreachable = await restore('--to', 'FF/0');
    assert.equal(unreachable.code, 2);
    assert.equal(documentOf<ErrorDocument>(unreachable).error.code, 'RESTORE_TARGET_UNREACHABLE');

    const done = await restore('--start', '--bin-dir', server.binDirectory);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr, /Restore +cluster "shop" into/);
    const document = documentOf<RestoreDocument>(done);
    assert.deepEqual(await findUndocumented('restore', document), []);
    assert.equal(document.reached.lsn, document.proposal.target.reachedLsn);
    const { pid, socketDirectory, port } = document.instance;
    try {
      const client = new pg.Client({ host: socketDirectory, port, user: 'postgres', database: 'postgres' });
      await client.connect();
      const { rows } = await client.query('SELECT count(*)::int AS items FROM item');
      await client.end();
      assert.deepEqual(rows, [{ items: 20_000 }]);
      assert.equal((await restore()).code, 4, 'a running server was restored over');
    } finally {
      process.kill(pid, 'SIGINT');
      while (isAlive(pid)) await delay(20);
      await rm(socketDirectory, { recursive: true, force: true });
    }
    const full = await restore();
    assert.equal(full.code, 4);
    assert.equal(documentOf<ErrorDocument>(full).error.code, 'RESTORE_TARGET_NOT_EMPTY');
  });

  /** Ends the current segment and reads it from the server's own directory. */
  async function segmentAfterSwitch(name: string): Promise<Buffer> {
    await server.query("SELECT pg_logical_emit_message(true, 'test', repeat('x', 5000)); SELECT pg_switch_wal()");
    return await readFile(join(server.dataDirectory, 'pg_wal', name));
  }
});

async function flipBit(path: string, at: number): Promise<void> {
  const content = await readFile(path);
  content[at]! ^= 0x04;
  await chmod(path, 0o600);
  await writeFile(path, content);
}
