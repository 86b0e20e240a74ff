import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import pg from 'pg';
import { createOnce, postgresMajors } from './postgres-binaries.ts';
import { startPostgres } from './postgres-server.ts';
import { isAlive } from './processes.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from './scratch.ts';

for (const major of postgresMajors) {
  describe(`PostgreSQL ${major} of the toolchain`, () => {
    it('runs the named major with the durability and the checksums of production', async () => {
      await using server = await startPostgres({ major, settings: { cluster_name: "it's ours" } });
      const [row] = await server.query(`
        SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('fsync') AS fsync,
               current_setting('data_checksums') AS checksums, current_setting('wal_level') AS wal_level,
               current_setting('max_wal_senders') AS senders, current_setting('cluster_name') AS name`);
      assert.deepEqual(row, {
        major,
        fsync: 'on',
        checksums: 'on',
        wal_level: 'replica',
        senders: '10',
        name: "it's ours",
      });
    });

    it('asks for a SCRAM password over TCP and over the socket', async () => {
      await using server = await startPostgres({ major });
      for (const url of [server.url, server.socketUrl]) {
        assert.equal(await selectOne(url), 1);
        await assert.rejects(selectOne(url.replace(server.password, 'wrong')), /password authentication failed/);
      }
      const [row] = await server.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'");
      assert.match(String(row?.rolpassword), /^SCRAM-SHA-256\$/);
    });

    it('has a role "backup" that may replicate and monitor and is no superuser', async () => {
      await using server = await startPostgres({ major });
      assert.equal(await selectOne(server.backupUrl), 1);
      assert.equal(await selectOne(server.backupSocketUrl), 1);
      const [row] = await server.query(`
        SELECT rolsuper, rolreplication, rolcreaterole, pg_has_role('backup', 'pg_monitor', 'MEMBER') AS monitor
        FROM pg_roles WHERE rolname = 'backup'`);
      assert.deepEqual(row, { rolsuper: false, rolreplication: true, rolcreaterole: false, monitor: true });
    });

    it('keeps acknowledged rows through kill -9 and comes back on the same port', async () => {
      await using server = await startPostgres({ major });
      await server.query('CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 100)');
      const { pid, port } = server;
      await server.kill9();
      assert.equal(isAlive(pid!), false);
      assert.equal(server.pid, undefined);
      await server.restart();
      assert.equal(server.port, port);
      assert.deepEqual(await server.query('SELECT count(*)::int AS rows FROM kept'), [{ rows: 100 }]);
      assert.match(await server.logText(), /database system was not properly shut down/);
    });

    it('stops in both modes and starts again', async () => {
      await using server = await startPostgres({ major });
      await server.stop('fast');
      await assert.rejects(server.query('SELECT 1'), /ECONNREFUSED|ENOENT/);
      await server.restart();
      await server.stop('immediate');
      await server.restart();
      assert.deepEqual(await server.query('SELECT 1 AS one'), [{ one: 1 }]);
      assert.match(await server.logText(), /received fast shutdown request[\s\S]*received immediate shutdown request/);
    });

    it('leaves neither process nor file behind when disposed', async () => {
      const server = await startPostgres({ major });
      const { pid, dataDirectory } = server;
      await server.dispose();
      await server.dispose();
      assert.equal(isAlive(pid!), false);
      assert.equal(existsSync(join(dataDirectory, '..')), false);
    });
  });
}

it('gives each cluster a system identifier of its own', async () => {
  await using first = await startPostgres({ major: 18 });
  await using second = await startPostgres({ major: 18 });
  const sql = 'SELECT system_identifier FROM pg_control_system()';
  assert.notDeepEqual(await first.query(sql), await second.query(sql));
});

it('makes clusters with another WAL segment size and with further initdb arguments', async () => {
  await using server = await startPostgres({
    major: 18,
    walSegmentSizeMb: 1,
    initdbArguments: ['--allow-group-access'],
  });
  assert.deepEqual(await server.query('SHOW wal_segment_size'), [{ wal_segment_size: '1MB' }]);
  assert.equal(statSync(server.dataDirectory).mode & 0o777, 0o750);
});

it('starts a cluster that is there already, without writing to its configuration', async () => {
  const directory = await makeScratchDirectory('existing');
  try {
    const dataDirectory = join(directory, 'data');
    const first = await startPostgres({ major: 18, dataDirectory });
    await first.query('CREATE TABLE kept (n int)');
    await first.stop();
    await first.dispose();
    const configuration = statSync(join(dataDirectory, 'postgresql.conf')).mtimeMs;
    await using second = await startPostgres({ major: 18, dataDirectory, settings: { work_mem: '7MB' } });
    assert.deepEqual(await second.query("SELECT current_setting('work_mem') AS size, count(*)::int AS n FROM kept"), [
      { size: '7MB', n: 0 },
    ]);
    assert.equal(statSync(join(dataDirectory, 'postgresql.conf')).mtimeMs, configuration);
  } finally {
    await rm(directory, { recursive: true });
  }
});

it('tells why a server did not start', async () => {
  await assert.rejects(
    startPostgres({ major: 18, settings: { shared_buffers: 'nonsense' } }),
    /did not start \(exit code 1, signal null\)[\s\S]*invalid value for parameter "shared_buffers"/,
  );
});

it('runs as "nobody" when the tests run as root, and names a directory that is closed to it', async (test) => {
  if (!runsAsRoot) return test.skip('the tests do not run as root');
  await using server = await startPostgres({ major: 18 });
  assert.equal(statSync(`/proc/${server.pid}`).uid, nobody.uid);
  const closed = await mkdtemp(join(tmpdir(), 'holdfast-closed-'));
  try {
    await chmod(closed, 0o700);
    await assert.rejects(startPostgres({ major: 18, directory: join(closed, 'server') }), (error: Error) =>
      error.message.includes(`"${closed}" is closed to it`),
    );
  } finally {
    await rm(closed, { recursive: true });
  }
});

it('ends with the process that started it, even after kill -9', async () => {
  const script = `
    import { startPostgres } from ${JSON.stringify(new URL('./postgres-server.ts', import.meta.url).href)};
    const server = await startPostgres({ major: 18 });
    console.log(JSON.stringify({ pid: server.pid, dataDirectory: server.dataDirectory }));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const chunk of owner.stdout) {
    output += chunk;
    if (output.includes('\n')) break;
  }
  const { pid, dataDirectory } = JSON.parse(output) as { pid: number; dataDirectory: string };
  assert.ok(isAlive(pid) && existsSync(dataDirectory));
  owner.kill('SIGKILL');
  const deadline = Date.now() + 20_000;
  while ((isAlive(pid) || existsSync(dataDirectory)) && Date.now() < deadline) await promisify(setTimeout)(20);
  assert.equal(isAlive(pid), false);
  assert.equal(existsSync(dataDirectory), false);
});

it('lets several processes make the cache at the same time', async () => {
  const script = `
    import { createOnce } from ${JSON.stringify(new URL('./postgres-binaries.ts', import.meta.url).href)};
    import { mkdir, writeFile } from 'node:fs/promises';
    await createOnce(process.argv[1], async (unfinished) => {
      await mkdir(unfinished);
      for (let n = 0; n < 50; n++) await writeFile(unfinished + '/' + n, 'whole');
    });`;
  const directory = await makeScratchDirectory('cache');
  try {
    const target = join(directory, 'target');
    const arguments_ = ['--input-type=module-typescript', '--eval', script, target];
    await Promise.all(Array.from({ length: 6 }, () => promisify(execFile)(process.execPath, arguments_)));
    const { stdout } = await promisify(execFile)('ls', [directory, target]);
    assert.equal(stdout.trim().split('\n').length, 50 + 4, stdout);
  } finally {
    await rm(directory, { recursive: true });
  }
});

it('ends several processes at once when the one that started them is killed', async () => {
  const directory = await makeScratchDirectory('guarded');
  const script = `
    import { spawn } from 'node:child_process';
    import { startProcessGuard } from ${JSON.stringify(new URL('./process-guard.ts', import.meta.url).href)};
    const guard = startProcessGuard(process.argv[1], 'KILL');
    const pids = [1, 2, 3].map(() => spawn('sleep', ['600'], { stdio: 'ignore' }).pid);
    guard.watch(pids);
    console.log(JSON.stringify(pids));`;
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const chunk of owner.stdout) {
    output += chunk;
    if (output.includes('\n')) break;
  }
  const pids = JSON.parse(output) as number[];
  assert.equal(pids.filter(isAlive).length, 3);
  owner.kill('SIGKILL');
  const deadline = Date.now() + 20_000;
  while ((pids.some(isAlive) || existsSync(directory)) && Date.now() < deadline) await promisify(setTimeout)(20);
  assert.deepEqual([pids.filter(isAlive), existsSync(directory)], [[], false]);
});

it('takes nothing half-filled for the cache, and removes what was left of one that was killed while filling it', async () => {
  const directory = await makeScratchDirectory('cache');
  try {
    const target = join(directory, 'target');
    const [killed, busy, recent] = [
      `${target}.unfinished-4194304-a`,
      `${target}.unfinished-${process.pid}-b`,
      `${target}.unfinished-4194304-c`,
    ];
    const longAgo = new Date(Date.now() - 2 * 60 * 60_000);
    for (const path of [killed, busy, recent]) await mkdir(path);
    for (const path of [killed, busy]) await utimes(path, longAgo, longAgo);
    await createOnce(target, (unfinished) => writeFile(unfinished, 'whole'));
    assert.equal(await readFile(target, 'utf8'), 'whole');
    assert.deepEqual([killed, busy, recent].map(existsSync), [false, true, true]);
  } finally {
    await rm(directory, { recursive: true });
  }
});

async function selectOne(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ one: number }>('SELECT 1 AS one');
    return rows[0]!.one;
  } finally {
    await client.end();
  }
}
