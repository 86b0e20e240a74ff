import assert from 'node:assert/strict';
import { type ExecFileOptions, execFile } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
/** npm prints what it did; a JSON document may be long. */
const outputBytesMax = 16 * 1024 * 1024;

/** What `npm pack` makes, installed in a folder where nothing of the checkout is in sight. */
describe('the package', () => {
  let scratch: string;
  let project: string;
  let server: PostgresServer;

  before(async () => {
    scratch = await makeScratchDirectory('package');
    project = join(scratch, 'project');
    await mkdir(project);
    await writeFile(join(project, 'package.json'), '{ "name": "shop", "private": true, "type": "module" }');
    // Packing builds dist/ first.
    await npm(root, 'pack', '--pack-destination', scratch);
    const [archive] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'));
    assert.ok(archive !== undefined, 'npm pack made an archive');
    await npm(project, 'install', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund', join(scratch, archive));
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    await server.query('CREATE TABLE item AS SELECT n, md5(n::text) AS text FROM generate_series(1, 5000) n');
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  function start(command: string, words: readonly string[], options: ExecFileOptions = {}) {
    // The pinned Node first, as an installed package runs on the Node of PATH.
    const path = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
    const env = { PATH: path, HOME: scratch, npm_config_cache: process.env.npm_config_cache, ...options.env };
    return run(command, words, { maxBuffer: outputBytesMax, ...options, encoding: 'utf8', env });
  }

  async function npm(cwd: string, ...words: string[]): Promise<void> {
    // The user's own settings of npm, such as a registry of their own, hold here too.
    await start('npm', words, { cwd, env: { ...process.env, NODE_OPTIONS: '' } });
  }

  function holdfast(...words: string[]) {
    return start('npx', ['--no-install', 'holdfast', ...words], {
      cwd: project,
      env: {
        DATABASE_URL: server.backupUrl,
        HOLDFAST_REPOSITORY: join(scratch, 'repository'),
        HOLDFAST_STATE_DIR: join(scratch, 'state'),
        HOLDFAST_KEY_FILE: join(scratch, 'key'),
      },
    });
  }

  it('holds what runs and nothing else', async () => {
    const found = await readdir(join(project, 'node_modules', 'holdfast'));
    assert.deepEqual(found.sort(), ['LICENSE', 'README.md', 'bin', 'dist', 'package.json']);
    const { stdout } = await holdfast('--version');
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('goes the whole way from an empty folder to a restored server', async () => {
    await holdfast('repository', 'init', '--generate-key-file', join(scratch, 'key'));
    await holdfast('backup');
    await server.query("INSERT INTO item VALUES (0, 'after the backup')");
    const [{ lsn }] = (await server.query('SELECT pg_current_wal_lsn()::text AS lsn')) as [{ lsn: string }];
    await holdfast('wal', 'stream', '--until', lsn);
    const { stdout } = await holdfast(
      ...['restore', '--into', join(scratch, 'restored'), '--start', '--bin-dir', server.binDirectory, '--json'],
    );
    const { instance, reached } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as {
      instance: { pid: number };
      reached: { lsn: string };
    };
    try {
      assert.ok(reached.lsn >= lsn, `${reached.lsn} is not before ${lsn}`);
    } finally {
      process.kill(instance.pid, 'SIGINT');
    }
  });

  it('is a library for JavaScript', async () => {
    await writeFile(
      join(project, 'use.js'),
      "import { openRepository, openStore, systemClock } from 'holdfast';\n" +
        'const [location, path] = process.argv.slice(2);\n' +
        "const credential = { kind: 'key-file', path };\n" +
        "const options = { store: await openStore(location), credential, access: 'read', clock: systemClock };\n" +
        'const repository = await openRepository(options);\n' +
        'console.log((await repository.listSnapshots()).snapshots.length);\n',
    );
    const { stdout } = await start(process.execPath, ['use.js', join(scratch, 'repository'), join(scratch, 'key')], {
      cwd: project,
    });
    assert.equal(stdout, '1\n');
  });
});
