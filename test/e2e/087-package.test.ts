import assert from 'node:assert/strict';
import { type ExecFileOptions, execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
/** npm prints what it did; a JSON document may be long. */
const outputBytesMax = 16 * 1024 * 1024;

/** What every machine has, as POSIX wants it, of which a shell's script needs some. */
const EVERYWHERE = [
  'sh',
  'mkdir',
  'cat',
  'cp',
  'mv',
  'rm',
  'ls',
  'date',
  'sleep',
  'touch',
  'dirname',
  'readlink',
  'id',
  'grep',
  'ps',
  'sed',
  'uname',
  'dd',
  'head',
];

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

  function environment() {
    return {
      DATABASE_URL: server.backupUrl,
      HOLDFAST_REPOSITORY: join(scratch, 'repository'),
      HOLDFAST_STATE_DIR: join(scratch, 'state'),
      HOLDFAST_KEY_FILE: join(scratch, 'key'),
    };
  }

  function holdfast(...words: string[]) {
    return start('npx', ['--no-install', 'holdfast', ...words], { cwd: project, env: environment() });
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

  /** What to type, of a kit that was made with this environment. */
  async function kitScript(page: string, environment: Record<string, string>): Promise<string> {
    await start('npx', ['--no-install', 'holdfast', 'recovery-kit', '--with-key', '--out', page], {
      cwd: project,
      env: environment,
    });
    const text = textOf(await readFile(page, 'utf8'));
    return text.slice(text.indexOf('# Begin of what to type.'), text.indexOf('# End of what to type.'));
  }

  /** A directory of programs: node, npm and npx, and what every machine has. */
  async function bareTools(): Promise<string> {
    const tools = join(scratch, 'tools');
    await mkdir(tools, { recursive: true });
    await rm(join(tools, 'node'), { force: true });
    await symlink(process.execPath, join(tools, 'node'));
    for (const name of ['npm', 'npx', ...EVERYWHERE]) {
      const { stdout } = await run('/bin/sh', ['-c', `command -v ${name}`]);
      await rm(join(tools, name), { force: true });
      await symlink(stdout.trim(), join(tools, name));
    }
    return tools;
  }

  /**
   * Types a script on a machine that has an empty home, those tools and the server's programs, while all else is lost; compares every row.
   * `input`: what the script asks for.
   */
  async function restoreByScript(script: string, name: string, input = ''): Promise<void> {
    // The key file, the state, and the folder in which it was installed is not in sight.
    const all = ['key', 'state', 'bucket-key', 'bucket-state'];
    const lost: string[] = [];
    for (const each of all) {
      const isThere = await rename(join(scratch, each), join(scratch, `${each}.lost`)).then(
        () => true,
        () => false,
      );
      if (isThere) lost.push(each);
    }
    const home = join(scratch, name);
    await mkdir(home);
    const said = join(home, 'said');
    const typed = script
      .replace(/holdfast@\S+/, [...quietly, archive].join(' '))
      .replace(/--start$/m, `--start --json > '${said}'`);
    // How this machine reaches npm's registry holds here too; nothing that tells of a repository, a key or a server does.
    const ours = /^(?:HOLDFAST_|AWS_|PG|DATABASE_URL$|NODE_OPTIONS$)/;
    const rest = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !ours.test(variable)));
    const env = { ...rest, PATH: `${await bareTools()}:${server.binDirectory}`, HOME: home };
    try {
      const shell = run('/bin/sh', ['-eu', '-c', typed], { cwd: home, env, maxBuffer: outputBytesMax });
      shell.child.stdin!.end(input);
      await shell;
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
      for (const each of lost) await rename(join(scratch, `${each}.lost`), join(scratch, each));
    }
  }

  it('brings back every row on an empty machine with the text of the recovery kit, npm and the store alone', async () => {
    const script = await kitScript(join(scratch, 'kit.html'), environment());
    await restoreByScript(script, 'empty-home');
  });

  it('brings them back from a bucket, with the access key typed where the page says so', {
    skip: whyNoS3Server(),
  }, async () => {
    await using store = await startS3Server();
    const bucket = await store.makeBucket();
    const own = {
      ...environment(),
      HOLDFAST_REPOSITORY: `s3://${bucket}/shop?region=${store.region}&endpoint=${store.endpoint}`,
      HOLDFAST_STATE_DIR: join(scratch, 'bucket-state'),
      HOLDFAST_KEY_FILE: join(scratch, 'bucket-key'),
    };
    const keys = [store.admin.accessKeyId, store.admin.secretAccessKey] as const;
    const env = { ...own, AWS_ACCESS_KEY_ID: keys[0], AWS_SECRET_ACCESS_KEY: keys[1] };
    const inProject = (...words: string[]) =>
      start('npx', ['--no-install', 'holdfast', ...words], { cwd: project, env });
    await inProject('repository', 'init', '--generate-key-file', own.HOLDFAST_KEY_FILE);
    await inProject('backup', '--checkpoint', 'fast');
    const script = await kitScript(join(scratch, 'bucket-kit.html'), env);
    assert.ok(!keys.some((secret) => script.includes(secret)), 'the page holds no key of the store');
    const typed = script.replace(/^# {3}(read -r AWS_ACCESS_KEY_ID;.*)$/m, '$1');
    assert.notEqual(typed, script);
    await restoreByScript(typed, 'empty-home-2', `${keys.join('\n')}\n`);
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
