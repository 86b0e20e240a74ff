import assert from 'node:assert/strict';
import { type ExecFileOptions, execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
/** npm prints what it did; a JSON document may be long. */
const outputBytesMax = 16 * 1024 * 1024;

const quietly = ['--omit=dev', '--prefer-offline', '--no-audit', '--no-fund'];

/** The text that a person sees of a page, made without anything of ours. */
function textOf(html: string): string {
  const entities: Record<string, string> = { lt: '<', gt: '>', quot: '"', amp: '&' };
  return html
    .replaceAll(/<style>[\s\S]*?<\/style>|<svg[\s\S]*?<\/svg>/g, '')
    .replaceAll(/<\/?(?:p|h1|h2|pre|tr|figure)\b[^>]*>/g, '\n')
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll(/&(lt|gt|quot|amp);/g, (_, name: string) => entities[name]!);
}

/** What `npm pack` makes, installed in a folder where nothing of the checkout is in sight. */
describe('the package', () => {
  let scratch: string;
  let project: string;
  let archive: string;
  let server: PostgresServer;

  before(async () => {
    scratch = await makeScratchDirectory('package');
    project = join(scratch, 'project');
    await mkdir(project);
    await writeFile(join(project, 'package.json'), '{ "name": "shop", "private": true, "type": "module" }');
    // Packing builds dist/ first.
    await npm(root, 'pack', '--pack-destination', scratch);
    const [made] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'));
    assert.ok(made !== undefined, 'npm pack made an archive');
    archive = join(scratch, made);
    await npm(project, 'install', ...quietly, archive);
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

  it('brings back every row on an empty machine with the text of the recovery kit, npm and the store alone', async () => {
    const page = join(scratch, 'kit.html');
    await holdfast('recovery-kit', '--with-key', '--out', page);
    const text = textOf(await readFile(page, 'utf8'));
    const script = text.slice(text.indexOf('# Begin of what to type.'), text.indexOf('# End of what to type.'));
    // All else is lost: the key file, the state, the folder in which it was installed.
    for (const lost of ['key', 'state']) await rename(join(scratch, lost), join(scratch, `${lost}.lost`));
    const home = join(scratch, 'empty-home');
    await mkdir(home);
    const said = join(home, 'said');
    const typed = script
      .replace(/holdfast@\S+/, [...quietly, archive].join(' '))
      .replace(/--start$/m, `--start --json > '${said}'`);
    const path = `${dirname(process.execPath)}:${server.binDirectory}:/usr/local/bin:/usr/bin:/bin`;
    const env = {
      ...process.env,
      NODE_OPTIONS: '',
      PATH: path,
      HOME: home,
      HOLDFAST_KEY_FILE: '',
      HOLDFAST_PASSPHRASE: '',
    };
    try {
      await start('/bin/sh', ['-eu', '-c', typed], { cwd: home, env });
      const { instance } = JSON.parse((await readFile(said, 'utf8')).trimEnd().split('\n').at(-1)!) as {
        instance: { pid: number; socketDirectory: string; port: number };
      };
      const { pid, socketDirectory: host, port } = instance;
      const client = new pg.Client({ host, port, user: 'postgres', database: 'postgres' });
      try {
        await client.connect();
        const rows = "SELECT count(*)::text, md5(string_agg(n || text, ' ' ORDER BY n, text)) FROM item";
        const { rows: restored } = await client.query(rows);
        assert.deepEqual(restored, await server.query(rows));
      } finally {
        await client.end();
        process.kill(pid, 'SIGINT');
      }
    } finally {
      for (const lost of ['key', 'state']) await rename(join(scratch, `${lost}.lost`), join(scratch, lost));
    }
  });

  it('names the package that Azure needs, which does not come with it', async () => {
    const words = ['repository', 'init', '--repository', 'azure://account/container', '--json'];
    const key = join(scratch, 'azure.key');
    const env = { AZURE_STORAGE_KEY: 'a2V5', HOLDFAST_STATE_DIR: join(scratch, 'state') };
    const refused = start('npx', ['--no-install', 'holdfast', ...words, '--generate-key-file', key], {
      cwd: project,
      env,
    });
    await assert.rejects(refused, { code: 1, stdout: /"STORE_DRIVER_ABSENT".*npm install @azure\/storage-blob@12/ });
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
