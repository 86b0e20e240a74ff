import assert from 'node:assert/strict';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { commands } from '../../src/cli/commands/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { commitAll } from '../support/git-checkout.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const examples = commands.flatMap(({ path, examples = [] }) =>
  examples.map(({ line }) => ({ command: path.join(' '), line })),
);

/** Those that wait for what the others make, in their order; whatever is not named here comes last. */
const order = ['repository init', 'copies sync', 'database setup', 'wal push', 'backup', 'wal stream'];

describe('the examples in the help', () => {
  let scratch: string;
  let server: PostgresServer;
  /** What stands in the examples, and what it is here. */
  let places: [RegExp, string][];

  before(async () => {
    scratch = await makeScratchDirectory('examples');
    const settings = { wal_keep_size: '64MB', autovacuum: 'off' };
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
    for (const place of ['backups', 'srv', 'mnt']) await mkdir(join(scratch, place));
    await writeFile(join(scratch, '.pgpass'), `127.0.0.1:${server.port}:*:postgres:${server.password}\n`, {
      mode: 0o600,
    });
    await server.query('CREATE TABLE item (i int); DROP TABLE item; CREATE TABLE item (i int)');
    // What `backup --direct` asks for besides what `database setup` gives; the role is made only later.
    await server.query('GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO PUBLIC');
    const [first] = await server.query<{ file: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS file');
    const [end] = await server.query<{ lsn: string }>(
      'INSERT INTO item VALUES (1); SELECT pg_current_wal_flush_lsn()::text AS lsn',
    );
    places = [
      [/0\/3000000\.\.0\/9000000/, '0/0..FFFF/0'],
      [/0\/9000000/, end!.lsn],
      [/000000010000000000000003/, first!.file],
      [/pg_wal\//, `${server.dataDirectory}/pg_wal/`],
      [/postgresql:\/\/postgres@db\//, `postgresql://postgres@127.0.0.1:${server.port}/`],
      [/\/(backups|srv|mnt)\//, `${scratch}/$1/`],
      [/~\//, `${scratch}/`],
      [/ \| jq .*/, ''],
    ];
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  async function tryOut(line: string, ...additions: string[]) {
    const settled = places.reduce((text, [there, here]) => text.replace(there, here), line);
    const words = [...settled.split(' ').slice(1), ...additions];
    const run = await runHoldfast(words, {
      directory: server.dataDirectory,
      environment: {
        DATABASE_URL: `postgresql://holdfast@127.0.0.1:${server.port}/postgres`,
        PGPASSFILE: join(scratch, '.pgpass'),
        HOLDFAST_ADMIN_URL: `postgresql://postgres@127.0.0.1:${server.port}/postgres`,
        HOLDFAST_REPOSITORY: join(scratch, 'backups/shop'),
        HOLDFAST_COPIES: `west=${join(scratch, 'copies/west')}`,
        HOLDFAST_KEY_FILE: join(scratch, 'holdfast.key'),
        HOLDFAST_STATE_DIR: join(scratch, 'state'),
      },
    });
    return { ...run, said: `${line}\n${words.join(' ')}\n${run.stdout}${run.stderr}` };
  }

  const succeed = async (line: string, ...additions: string[]) => {
    const run = await tryOut(line, ...additions);
    assert.equal(run.code, 0, run.said);
    return run;
  };
  const linesOf = (...names: string[]) =>
    examples.filter(({ command }) => names.includes(command)).map(({ line }) => line);

  it('make a repository, set the server up and fill both', async () => {
    for (const line of linesOf('repository init')) await succeed(line);
    // A new copy is made before it can be brought up to date.
    const syncs = linesOf('copies sync').sort(
      (a, b) => Number(b.includes('--create')) - Number(a.includes('--create')),
    );
    for (const line of syncs) await succeed(line);
    for (const line of linesOf('database setup')) await succeed(line, ...(line.includes('--dry-run') ? [] : ['--yes']));
    for (const line of linesOf('wal push', 'wal stream')) {
      await succeed(line, ...(line.includes('--until') || line.includes('push') ? [] : ['--until', '0/0']));
    }
    for (const line of linesOf('backup'))
      await succeed(line, ...(line.includes('fast') ? [] : ['--checkpoint', 'fast']));
  });

  it('look at what is there', async () => {
    const { snapshots } = documentOf<{ snapshots: { snapshot: string }[] }>(await succeed('holdfast list --json'));
    places.unshift([/495644fd18b9/, snapshots[0]!.snapshot.slice(0, 12)]);
    const [end] = await server.query<{ lsn: string }>(
      'INSERT INTO item VALUES (2); SELECT pg_current_wal_flush_lsn()::text AS lsn',
    );
    await succeed(`holdfast wal stream --until ${end!.lsn}`);
    const commits = await succeed('holdfast wal commits --json');
    const { before } = documentOf<{ before: { kind: string; lsn: string; at: string; reachable: boolean }[] }>(commits);
    const commit = before.filter(({ kind, reachable }) => kind === 'commit' && reachable).at(-1)!;
    places.unshift([/0\/5164A60/, commit.lsn], [/2026-11-23T09:00:00Z/, commit.at]);
    for (const { line } of examples.filter(({ command }) => !order.includes(command))) {
      if (
        / (restore|doctor|wal rescue|status|attack-test|cross-check|keys (add|rotate|remove|new-epoch)|hold (add|remove)|plan (lint|show|diff))\b/.test(
          line,
        )
      )
        continue;
      await succeed(line);
    }
    for (const line of linesOf('cross-check')) await succeed(line, '--bin-dir', server.binDirectory);
    // What they find is of the moment: nobody streams, and the repository is on the server's own disk.
    for (const line of linesOf('doctor', 'status', 'repository attack-test')) {
      const run = await tryOut(line);
      assert.match(String(run.code), /^[03]$/, run.said);
    }
  });

  it('judge, show and compare plans', async () => {
    const checkout = join(scratch, 'checkout');
    const plan = JSON.stringify({ clusters: [{ name: 'shop' }], repository: { primary: '/backups/shop' } });
    await mkdir(join(checkout, 'plans'), { recursive: true });
    await writeFile(join(checkout, 'holdfast.config.json'), plan);
    for (const name of ['shop', 'before', 'after']) await writeFile(join(checkout, `plans/${name}.json`), plan);
    await commitAll(checkout, 'Plan');
    for (const line of linesOf('plan lint', 'plan show', 'plan diff')) {
      const run = await runHoldfast(line.split(' ').slice(1), { directory: checkout });
      // This plan keeps everything in one place, which the linter says.
      assert.equal(run.code, line.includes('lint') ? 3 : 0, `${line}\n${run.stdout}${run.stderr}`);
    }
  });

  it('change the keys', async () => {
    places.unshift([/age1…/, 'age12gpzw0wtvesjkp660q0hr9en6acagaacv2j3dafe7mauftkag9rs6sxvym']);
    for (const line of linesOf('keys add')) await succeed(line);
    for (const line of linesOf('keys remove', 'keys new-epoch')) await succeed(line, '--yes');
  });

  it('hold something, and end that', async () => {
    for (const line of linesOf('hold add')) await succeed(line);
    const { holds } = documentOf<{ holds: { hold: string }[] }>(await succeed('holdfast hold list --json'));
    places.unshift([/0c7d51/, holds[0]!.hold.slice(0, 12)]);
    for (const line of linesOf('hold remove')) await succeed(line, '--yes');
  });

  it('restore, and rescue', async () => {
    for (const line of linesOf('restore')) {
      const additions = line.includes('--start') ? ['--bin-dir', server.binDirectory] : [];
      if (line.includes('--delta'))
        await cp(join(scratch, 'srv/restored'), join(scratch, 'srv/data'), { recursive: true });
      else await rm(join(scratch, 'srv/restored'), { recursive: true, force: true });
      const run = await succeed(line, ...additions, '--json');
      const { instance } = documentOf<{ instance?: { pid: number } | null }>(run);
      if (instance) process.kill(instance.pid, 'SIGQUIT');
    }
    await server.stop();
    await cp(server.dataDirectory, join(scratch, 'mnt/dead/data'), { recursive: true });
    await cp(join(server.dataDirectory, 'pg_wal'), join(scratch, 'mnt/dead/pg_wal'), { recursive: true });
    for (const line of linesOf('wal rescue')) await succeed(line);
    // Last of all, as the key that is used here opens nothing any more.
    for (const line of linesOf('keys rotate')) await succeed(line, '--yes');
  });
});
