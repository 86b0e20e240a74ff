import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import {
  appendFile,
  cp,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { readControlFile } from '../../src/postgres/index.ts';
import { MARKER_NAME, prepareRestore, type RecoveryTarget, type RestoreOptions } from '../../src/restore/index.ts';
import { describeTree } from '../support/directory-tree.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import {
  historyOf,
  type ProtectedServer,
  rowsUpTo,
  startProtectedServer,
  untilOpen,
} from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const rows = 20;

/** The one directory into which a delta moved what is not data. */
function asideOf(directory: string): string {
  const names = readdirSync(directory).filter((name) => name.startsWith('holdfast-replaced-'));
  assert.equal(names.length, 1, names.join());
  return names[0]!;
}

describe('a delta over a used data directory', () => {
  let world: ProtectedServer;
  /** A restore into a new place, never started: what every delta must be equal to. */
  let fresh: string;
  /** A position, as the server goes on to write. */
  let target: RecoveryTarget;

  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off' });
    await world.server.query(
      "CREATE TABLE big AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 40000) AS n",
    );
    await world.server.query('CREATE TABLE dropped AS SELECT generate_series(1, 20000) AS n');
    // So that reading does not change the pages any more (hint bits).
    await world.server.query('VACUUM (FREEZE) big');
    await world.server.query('CHECKPOINT');
    await world.backUp();
    await world.write(rows);
    await world.settle();
    const { proposal } = await world.restore({ target: { kind: 'latest' }, ...owner });
    target = { kind: 'lsn', lsn: proposal.target.recordLsn };
    await rm(proposal.into, { recursive: true });
    fresh = (await world.restore({ target, ...owner })).proposal.into;
  });
  after(() => world?.dispose());

  /** A restored directory on which a server ran, wrote, and was stopped or killed. */
  async function makeUsed(
    name: string,
    write: (server: PostgresServer) => Promise<unknown>,
    stop: 'fast' | 'kill' = 'fast',
  ) {
    const into = join(world.scratch, name);
    await world.restore({ into, target, ...owner });
    await using server = await startPostgres({ major: 18, dataDirectory: into });
    await untilOpen(server);
    await write(server);
    if (stop === 'kill') await server.kill9();
    else await server.stop();
    return into;
  }

  const delta = (into: string, options: Partial<RestoreOptions> = {}) =>
    world.restore({ into, target, delta: true, ...owner, ...options });

  async function assertFresh(into: string): Promise<void> {
    // The last segment of the WAL goes on behind the target, as far as it was stored then.
    const without = [
      MARKER_NAME,
      'holdfast-recovery',
      ...readdirSync(into).filter((name) => name.startsWith('holdfast-replaced-')),
    ];
    const [found, expected] = [await describeTree(into, without), await describeTree(fresh, without)];
    const paths = [...new Set([...found.keys(), ...expected.keys()])].filter(
      (path) => found.get(path) !== expected.get(path),
    );
    assert.deepEqual(
      paths.map((path) => [path, found.get(path), expected.get(path)]),
      [],
    );
  }

  it('ends as a restore into a new place does, byte for byte, and fetches little', async () => {
    const into = await makeUsed('used', async (server) => {
      await server.query('UPDATE big SET filler = filler WHERE n BETWEEN 100 AND 300');
      await server.query('DROP TABLE dropped');
      await server.query('CREATE TABLE added AS SELECT generate_series(1, 1000) AS n');
      await server.query('CHECKPOINT');
    });
    await writeFile(join(into, 'notes.txt'), 'mine');
    await appendFile(join(into, 'postgresql.conf'), '# mine\n');
    const segments = (await readdir(join(into, 'pg_wal'))).filter((name) => /^[0-9A-F]{24}$/.test(name));
    const before = readFileSync(join(into, 'global', 'pg_control'));
    const { proposal } = await prepareRestore(
      { repository: world.repository, clock: systemClock, into, target, delta: true },
      false,
    );
    assert.ok(
      proposal.reuse!.reusedBytes > proposal.size.dataBytes * 0.8,
      JSON.stringify([proposal.reuse, proposal.size]),
    );
    assert.deepEqual(readFileSync(join(into, 'global', 'pg_control')), before, 'a proposal writes nothing');

    const result = await delta(into);
    await assertFresh(into);
    const { reusedBytes, writtenBytes, fetchedBytes, removed } = result.reuse!;
    assert.equal(reusedBytes + writtenBytes, result.bytes);
    assert.ok(writtenBytes < result.bytes / 10, `${writtenBytes} of ${result.bytes}`);
    assert.ok(fetchedBytes! > 0 && removed > 0);

    const aside = join(into, asideOf(into));
    assert.ok(result.notes.some((note) => note.includes(aside)));
    assert.deepEqual(
      (await readdir(join(aside, 'pg_wal'))).filter((name) => /^[0-9A-F]{24}$/.test(name)),
      segments,
    );
    assert.deepEqual(readFileSync(join(aside, 'global', 'pg_control')), before);
    assert.equal(readFileSync(join(aside, 'notes.txt'), 'utf8'), 'mine');
    assert.match(readFileSync(join(aside, 'postgresql.conf'), 'utf8'), /# mine/);
    assert.equal((await readControlFile(aside)).systemId, proposal.snapshot.system);
  });

  it('brings back what was torn, cut, grown, replaced or removed, and never writes into a file that is shared', async () => {
    const into = await makeUsed('mangled', (server) => server.query('CHECKPOINT'), 'kill');
    const base = join(into, 'base');
    const [database] = (await readdir(base))
      .filter((name) => name !== '1' && name !== '4' && /^\d+$/.test(name))
      .sort();
    const files = (await readdir(join(base, database!))).filter((name) => /^\d+$/.test(name)).sort();
    const file = (number: number) => join(base, database!, files[number]!);
    const shared = join(world.scratch, 'shared');
    await link(file(0), shared);
    await writeFile(file(0), 'another content of the shared file');
    await truncate(file(1), 100);
    await appendFile(file(2), Buffer.alloc(30_000, 7));
    await rm(file(3));
    await rm(file(4));
    await mkdir(file(4));
    await rename(file(5), join(world.scratch, 'elsewhere'));
    await symlink(join(world.scratch, 'elsewhere'), file(5));
    await mkdir(join(base, '99999'));
    await writeFile(join(base, '99999', '1'), 'of nobody');
    await writeFile(join(into, 'PG_VERSION'), '18\n\n');
    const elsewhere = readFileSync(join(world.scratch, 'elsewhere'));
    await delta(into);
    await assertFresh(into);
    assert.equal(readFileSync(shared, 'utf8'), 'another content of the shared file');
    assert.deepEqual(readFileSync(join(world.scratch, 'elsewhere')), elsewhere);
  });

  it('may be begun again over its own result, and leads a server to where it should', async () => {
    const into = await makeUsed('again', (server) => server.query('DELETE FROM history'));
    const { binDirectory } = world.server;
    const first = await delta(into, { start: { binDirectory } });
    try {
      assert.equal(await historyOf(first.instance!.instance), rowsUpTo(rows));
      await assert.rejects(delta(into), { code: 'RESTORE_TARGET_RUNNING' });
    } finally {
      await first.instance!.stop();
    }
    await systemClock.sleep(1000); // The directories aside are named by the second.
    const second = await delta(into);
    assert.ok(second.reuse!.reusedBytes > second.bytes * 0.9);
    assert.equal(readdirSync(into).filter((name) => name.startsWith('holdfast-replaced-')).length, 2);
    await rm(into, { recursive: true });
  });

  it('refuses a directory of another cluster, one that is no data directory, and one on which a server runs', async () => {
    await using other = await startPostgres({ major: 18 });
    await assert.rejects(delta(other.dataDirectory), { code: 'RESTORE_TARGET_RUNNING' });
    await other.stop();
    const before = await describeTree(other.dataDirectory);
    await assert.rejects(delta(other.dataDirectory), {
      code: 'RESTORE_TARGET_FOREIGN',
      detail: /found cluster [0-9]+/,
    });
    assert.deepEqual(await describeTree(other.dataDirectory), before);
    await assert.rejects(delta(join(world.scratch, 'nothing')), { code: 'RESTORE_TARGET_UNUSABLE' });
    const plain = join(world.scratch, 'plain');
    await mkdir(plain);
    await writeFile(join(plain, 'mine'), '');
    await assert.rejects(delta(plain), { code: 'RESTORE_TARGET_FOREIGN', detail: /found no pg_control/ });
    await assert.rejects(delta(world.server.dataDirectory), { code: 'RESTORE_TARGET_RUNNING' });
  });

  it('sees a server whose postmaster.pid is gone or names nobody', async () => {
    await using server = await startPostgres({ major: 18, dataDirectory: await makeUsed('hidden', async () => {}) });
    await untilOpen(server);
    const pidFile = join(server.dataDirectory, 'postmaster.pid');
    const lines = (await readFile(pidFile, 'utf8')).split('\n');
    await writeFile(pidFile, ['999999999', ...lines.slice(1)].join('\n'));
    await assert.rejects(delta(server.dataDirectory), {
      code: 'RESTORE_TARGET_RUNNING',
      detail: /shared memory|Process [0-9]+ of PostgreSQL works in it/,
    });
    await rename(pidFile, `${pidFile}.hidden`);
    await assert.rejects(delta(server.dataDirectory), {
      code: 'RESTORE_TARGET_RUNNING',
      detail: /Process [0-9]+ of PostgreSQL works in it/,
    });
    await rename(`${pidFile}.hidden`, pidFile);
    assert.equal(existsSync(join(server.dataDirectory, 'global', 'pg_control')), true);
  });

  it('looks again for a server once somebody has agreed, which may be long after it was proposed', async () => {
    const into = await makeUsed('late', async () => {});
    await using stack = new AsyncDisposableStack();
    const before = readFileSync(join(into, 'global', 'pg_control'));
    const onProposal = async () => {
      await untilOpen(stack.use(await startPostgres({ major: 18, dataDirectory: into })));
    };
    await assert.rejects(delta(into, { onProposal }), { code: 'RESTORE_TARGET_RUNNING' });
    assert.equal(readFileSync(join(into, 'global', 'pg_control')).length, before.length);
  });

  it('takes a postmaster.pid for a server where those of other containers are not seen', async (test) => {
    await using server = await startPostgres({ major: 18, dataDirectory: await makeUsed('contained', async () => {}) });
    await untilOpen(server);
    const module = new URL('../../src/postgres/index.ts', import.meta.url);
    const script = `const { whyServerMayRun } = await import('${module}');
      process.stdout.write(String(await whyServerMayRun('${server.dataDirectory}')));`;
    // As a container next to the server's has them: processes and shared memory of its own.
    const words = ['--pid', '--ipc', '--fork', '--mount-proc', ...(runsAsRoot ? [] : ['--user', '--map-current-user'])];
    const judge = () =>
      execFileSync('unshare', [...words, process.execPath, '--conditions=holdfast-source', '-e', script]).toString();
    try {
      execFileSync('unshare', [...words, 'true'], { stdio: 'ignore' });
    } catch {
      return test.skip('this system makes no namespaces for us');
    }
    assert.match(judge(), /may run in another container/);
    await server.stop();
    assert.equal(judge(), 'null');
  });

  it('goes on with a restore into a new place that was broken off', async () => {
    const into = join(world.scratch, 'broken-off');
    await cp(fresh, into, { recursive: true });
    await rename(join(into, 'global', 'pg_control'), join(into, 'global', 'pg_control.holdfast-restoring'));
    const marker = JSON.parse(await readFile(join(into, MARKER_NAME), 'utf8'));
    await writeFile(join(into, MARKER_NAME), JSON.stringify({ ...marker, state: 'restoring' }));
    const { reuse, bytes } = await delta(into);
    assert.ok(reuse!.reusedBytes > bytes * 0.99, `${reuse!.reusedBytes} of ${bytes}`);
    await assertFresh(into);
  });
});
