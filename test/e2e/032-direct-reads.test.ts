import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { type HoldfastError, type Progress, silentProgress, systemClock } from '../../src/lib/index.ts';
import { BLOCK_BYTES, pageChecksum, readControlFile } from '../../src/postgres/index.ts';
import {
  DirectSession,
  listTablespaces,
  proveDirectory,
  proveTablespace,
} from '../../src/protect/backup/direct/index.ts';
import { runAmcheck } from '../support/amcheck.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import { historyOf, type ProtectedServer, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { fetchRefereeTools, whyNoReferees } from '../support/referee-tools.ts';
import { targetOf, testPassphrase } from '../support/repository.ts';
import { assertSameFiles, readRestoredFiles } from '../support/restored-files.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { type Sessions, startSessions } from '../support/sessions.ts';
import { startStandby, untilReplayed } from '../support/standby-server.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const latest = { kind: 'latest' } as const;

/** What each backup is told otherwise, or the server changes with every checkpoint. */
const OWN_TO_EACH = ['backup_label', 'global/pg_control'];

function grantDirect(server: PostgresServer): Promise<unknown> {
  const functions =
    server.major === 14
      ? 'pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)'
      : 'pg_backup_start(text, boolean), pg_backup_stop(boolean)';
  return server.query(`GRANT EXECUTE ON FUNCTION ${functions} TO backup`);
}

/** A session with temporary and unlogged tables, a tablespace and files of several slabs. */
async function fill(server: PostgresServer, space: string): Promise<pg.Client> {
  await mkdir(space);
  await giveToServerUser(space);
  await server.query(`CREATE TABLESPACE apart LOCATION '${space}'`);
  await server.query('CREATE DATABASE second TABLESPACE apart');
  await server.query('CREATE TABLE far AS SELECT generate_series(1, 300) AS n', 'second');
  await server.query(`
    CREATE TABLE item AS SELECT i, md5(i::text) AS text FROM generate_series(1, 60000) i; CREATE INDEX ON item (text);
    CREATE TABLE quick TABLESPACE apart AS SELECT generate_series(1, 5000) AS n;
    CREATE UNLOGGED TABLE light AS SELECT generate_series(1, 5000) AS n; CREATE INDEX ON light (n);`);
  await server.query('VACUUM item');
  const session = new pg.Client({ connectionString: server.url });
  await session.connect();
  await session.query('CREATE TEMPORARY TABLE passing AS SELECT generate_series(1, 5000) AS n');
  await server.query('CHECKPOINT');
  return session;
}

for (const major of [18, 14] as const) {
  describe(`a direct read of PostgreSQL ${major}`, () => {
    let world: ProtectedServer;
    let session: pg.Client;
    before(async () => {
      world = await startProtectedServer(major, { autovacuum: 'off' });
      await world.write(3);
      session = await fill(world.server, join(world.scratch, 'apart'));
    });
    after(async () => {
      await session?.end();
      await world?.dispose();
    });

    it('is refused with the statements that allow it, before anything is written', async () => {
      await assert.rejects(world.backUp({ direct: true }), (error: HoldfastError) => {
        assert.equal(error.code, 'BACKUP_DIRECT_RIGHTS');
        assert.match(error.hints[0]!, /\\connect postgres GRANT EXECUTE ON FUNCTION pg_.*\) TO backup;$/);
        return true;
      });
      assert.deepEqual((await world.repository.listSnapshots()).snapshots, []);
      await grantDirect(world.server);
    });

    it('is restored to the same files, byte for byte, as what the server sends', async () => {
      // Whoever reads a row first notes in it that its transaction is over; after this there is nothing left to note.
      for (const database of ['postgres', 'second']) await world.server.query('VACUUM (INDEX_CLEANUP ON)', database);
      await world.server.query('CHECKPOINT');
      const restoredFiles = async (direct: boolean) => {
        const { snapshot } = await world.backUp({ direct, type: 'full' });
        const { proposal } = await world.restore({ target: latest, ...owner });
        assert.equal(proposal.snapshot.id, snapshot.id);
        const places = [proposal.into, ...proposal.tablespaces.map(({ path }) => path!)];
        return places.map((place) => {
          const files = readRestoredFiles(place);
          for (const path of OWN_TO_EACH) files.delete(path);
          return files;
        });
      };
      const [sent, read] = [await restoredFiles(false), await restoredFiles(true)];
      assert.equal(read.length, 2);
      for (const [place, files] of read.entries()) assertSameFiles(files, sent[place]!);
    });

    it('is refused while a tablespace is not where the server has it', async () => {
      const { server } = world;
      await using session = await DirectSession.open({ source: targetOf(server.backupUrl), clock: systemClock });
      const { catalogVersion } = await readControlFile(server.dataDirectory);
      const view = { root: '', dataDirectory: server.dataDirectory, versionDirectory: `PG_${major}_${catalogVersion}` };
      const [tablespace] = await listTablespaces(server.dataDirectory);
      const prove = (other: Partial<typeof view>) =>
        proveTablespace({ ...view, ...other }, { session, tablespace: tablespace! });
      await prove({});
      await prove({ root: `/proc/${session.processId}/root` });
      const code = 'BACKUP_DIRECT_TABLESPACE_NOT_HERE';
      await assert.rejects(prove({ root: '/nowhere' }), { code, detail: /It has no "PG_/ });
      await mkdir(join(world.scratch, 'elsewhere', tablespace!.location, view.versionDirectory), { recursive: true });
      await assert.rejects(prove({ root: join(world.scratch, 'elsewhere') }), { code, detail: /The database \d+ has/ });
    });

    it('leads to a server with all that was written', async () => {
      await world.write(2);
      await world.settle();
      const restored = await world.restore({
        target: latest,
        start: { binDirectory: world.server.binDirectory },
        ...owner,
      });
      try {
        assert.equal(await historyOf(restored.instance!.instance), rowsUpTo(5));
        const connection = await restored.instance!.instance.connect();
        const [counts] = await connection.query(
          'SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM quick), (SELECT count(*) FROM light)',
        );
        assert.deepEqual(counts!.rows, [['60000', '5000', '0']]);
        await connection.close();
      } finally {
        await restored.instance!.stop();
      }
    });
  });
}

describe('a direct read of a server that works', () => {
  let world: ProtectedServer;
  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off', summarize_wal: 'on' });
    await grantDirect(world.server);
    await world.server.query(`
      CREATE TABLE account (id int PRIMARY KEY, balance bigint);
      INSERT INTO account SELECT i, 1000 FROM generate_series(1, 2000) i;
      CREATE TABLE bulk AS SELECT i, md5(i::text) || md5((-i)::text) AS text FROM generate_series(1, 60000) i;
      CREATE TABLE ahead AS SELECT generate_series(1, 2000) AS n;`);
  });
  after(() => world?.dispose());

  it('is restored to a sound server in which no transfer is half done', { skip: whyNoReferees() }, async () => {
    const tools = await fetchRefereeTools();
    await world.write(1);
    const load = startTransfers(world.server);
    await load.rounds(20);
    await world.backUp({ direct: true, maxRate: 12_000 });
    const rounds = await load.stop();
    assert.ok(rounds > 40, `transfers of the slowest: ${rounds}`);
    await world.settle();
    const { binDirectory } = world.server;
    const { instance: restored } = await world.restore({ target: latest, start: { binDirectory }, ...owner });
    try {
      const connection = await restored!.instance.connect();
      const sums = `
        SELECT (SELECT sum(balance) FROM account) AS sum, (SELECT count(*) FROM growing) AS grown,
          (SELECT sum(hashtextextended(a::text, 0)::numeric) FROM account a) AS rows`;
      const [found] = await connection.query(sums);
      const [held] = await world.server.query<Record<string, string>>(sums);
      assert.deepEqual(found!.rows[0], Object.values(held!));
      assert.equal(found!.rows[0]![0], '2000000');
      await connection.close();
      const verdict = await runAmcheck(tools, restored!.instance);
      assert.equal(verdict.code, 0, verdict.stdout + verdict.stderr);
    } finally {
      await restored!.stop();
    }
  });

  it('ends when its session does, or when it is stopped, and leaves the server out of backup mode', async () => {
    const { snapshots: before } = await world.repository.listSnapshots();
    const endings = async () =>
      (await world.server.logText()).split('aborting backup due to backend exiting').length - 1;
    const inTheMiddle = (act: () => void): Progress => ({ ...silentProgress, advance: once(act) });
    const known = await endings();
    const kill =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast_backup_direct'";
    const killed = inTheMiddle(() => void world.server.query(kill));
    await assert.rejects(world.backUp({ direct: true, maxRate: 4_000, progress: killed }), {
      code: 'BACKUP_DIRECT_SESSION_LOST',
    });
    const stop = new AbortController();
    const stopped = inTheMiddle(() => stop.abort());
    await assert.rejects(world.backUp({ direct: true, maxRate: 4_000, progress: stopped, signal: stop.signal }), {
      name: 'AbortError',
    });
    for (let waits = 0; (await endings()) < known + 2; waits++) {
      assert.ok(waits < 500, 'the server says that each of the backups was given up');
      await systemClock.sleep(20);
    }
    assert.equal((await world.repository.listSnapshots()).snapshots.length, before.length);
    const { snapshot } = await world.backUp({ direct: true });
    assert.deepEqual(snapshot.details.reading, {
      manner: 'everything',
      over: before.at(-1)!.id,
      why: null,
      method: 'direct',
    });
  });

  it('is something that an increment can be built upon', async () => {
    await world.server.query("INSERT INTO growing SELECT i, 'after' FROM generate_series(1, 100) i");
    const { snapshots } = await world.repository.listSnapshots();
    const { snapshot, reading } = await world.backUp();
    assert.ok(reading.manner === 'increment', JSON.stringify(reading));
    assert.equal(reading.base, snapshots.at(-1)!.id);
    const { binDirectory } = world.server;
    await world.settle();
    const { instance, proposal } = await world.restore({ target: latest, start: { binDirectory }, ...owner });
    try {
      assert.equal(proposal.snapshot.id, snapshot.id);
      const connection = await instance!.instance.connect();
      const counts = "SELECT count(*) FROM growing WHERE text = 'after'";
      assert.deepEqual((await connection.query(counts))[0]!.rows, [['100']]);
      await connection.close();
    } finally {
      await instance!.stop();
    }
  });

  it('is refused for a directory that is not that of the server, each with its reason', async () => {
    const { server, scratch } = world;
    await using session = await DirectSession.open({ source: targetOf(server.backupUrl), clock: systemClock });
    const [row] = await server.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
    const prove = (directory: string, systemId = row!.id) => proveDirectory(directory, { session, systemId });
    assert.equal((await prove(server.dataDirectory)).systemId, row!.id);
    // As it is reached when the server has a root of its own.
    assert.equal((await prove(`/proc/${session.processId}/root${server.dataDirectory}`)).systemId, row!.id);
    await using standby = await startStandby(server, join(scratch, 'standby'));
    const refusal = (code: string, detail: RegExp) => ({ code, detail });
    await assert.rejects(prove(standby.dataDirectory), refusal('BACKUP_DIRECT_OTHER_SERVER', /did not appear here/));
    await assert.rejects(prove(server.dataDirectory, '1'), refusal('BACKUP_DIRECT_OTHER_SERVER', /identifier 1,/));
    await assert.rejects(prove(join(scratch, 'none')), refusal('BACKUP_DIRECT_NOT_HERE', /server at 127\.0\.0\.1:/));
    await assert.rejects(prove(scratch), refusal('BACKUP_DIRECT_NO_DATA', /found no "global\/pg_control"/));
    await asStranger(() => assert.rejects(prove(server.dataDirectory), { code: 'BACKUP_DIRECT_CLOSED' }));

    await world.write(1);
    await untilReplayed(server, standby);
    const { snapshot, fromStandby } = await world.backUp({ direct: true, source: targetOf(standby.backupSocketUrl) });
    assert.ok(fromStandby);
    await world.settle();
    const { binDirectory } = server;
    const { instance, proposal } = await world.restore({ target: latest, start: { binDirectory }, ...owner });
    assert.equal(proposal.snapshot.id, snapshot.id);
    assert.equal(await historyOf(instance!.instance), rowsUpTo(2));
    await instance!.stop();
  });

  it('finds a page with a wrong checksum, and one that is newer than all WAL, and ends with 3', async () => {
    const { server, place, scratch } = world;
    const [paths] = await server.query<{ bulk: string; ahead: string }>(
      "SELECT pg_relation_filepath('bulk') AS bulk, pg_relation_filepath('ahead') AS ahead",
    );
    await server.query('CHECKPOINT');
    await server.stop('fast');
    alterPage(join(server.dataDirectory, paths!.bulk), 3, (page) => void page.write('damage', 4000));
    alterPage(join(server.dataDirectory, paths!.ahead), 2, (page) => {
      page.writeUInt32LE(0x7fff, 0);
      page.writeUInt16LE(pageChecksum(page, 2), 8);
    });
    const uneven = join(dirname(paths!.bulk), '99999');
    await writeFile(join(server.dataDirectory, uneven), Buffer.alloc(BLOCK_BYTES + 100, 1));
    await server.restart();
    const backup = await runHoldfast(['backup', '--direct', '--cluster', 'main', '--json'], {
      environment: {
        DATABASE_URL: server.backupSocketUrl,
        HOLDFAST_REPOSITORY: place.path,
        HOLDFAST_PASSPHRASE: testPassphrase,
        HOLDFAST_STATE_DIR: join(scratch, 'state'),
      },
    });
    assert.equal(backup.code, 3, backup.stderr);
    const { checksumFailures } = documentOf<{ checksumFailures: string[] }>(backup);
    assert.match(
      checksumFailures.join('\n'),
      /checksum verification failed in file .*, block 3: .*\(table "public\.bulk"/,
    );
    assert.match(checksumFailures.join('\n'), /newer than all WAL in file .*, block 2: .*\(table "public\.ahead"/);
    assert.equal(checksumFailures.length, 2);
    assert.match(
      backup.stderr,
      new RegExp(`one file of a relation is not made of whole pages, and none .* checked: "${uneven}"`),
    );
  });
});

/** Sessions that move money from account to account, and one that makes files grow and go. */
function startTransfers(server: PostgresServer): Sessions {
  const transfer = `
    WITH pair AS (SELECT (random() * 1999)::int + 1 AS a, (random() * 1999)::int + 1 AS b, (random() * 100)::int AS amount)
    UPDATE account SET balance = balance + CASE id WHEN a THEN -amount ELSE amount END FROM pair WHERE id IN (a, b) AND a <> b`;
  const grow = [
    'CREATE TABLE IF NOT EXISTS growing (n int, text text)',
    "INSERT INTO growing SELECT i, repeat('x', 300) FROM generate_series(1, 500) i",
    'CREATE TABLE passing AS SELECT generate_series(1, 3000) AS n; DROP TABLE passing',
    'VACUUM account',
    'CHECKPOINT',
  ];
  const run = (statements: readonly string[]) => async (client: pg.Client) => {
    for (const sql of statements) {
      // Two that meet crosswise are one deadlock; whoever loses has moved nothing.
      await client.query(sql).catch((error: { code?: string }) => {
        if (error.code !== '40P01') throw error;
      });
    }
  };
  return startSessions(server, [run(grow), run([transfer]), run([transfer]), run([transfer])]);
}

function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) act();
    isDone = true;
  };
}

/** Does something as a user who owns nothing here. */
async function asStranger(act: () => Promise<void>): Promise<void> {
  if (!runsAsRoot) return;
  process.seteuid!(65_533);
  try {
    await act();
  } finally {
    process.seteuid!(0);
  }
}

function alterPage(path: string, block: number, alter: (page: Buffer) => void): void {
  const page = readFileSync(path).subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
  alter(page);
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, page, 0, BLOCK_BYTES, block * BLOCK_BYTES);
  closeSync(descriptor);
}
