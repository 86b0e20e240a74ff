import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseRelationPath } from '../../src/postgres/index.ts';
import { type BackupResult, readingOf, runBackup } from '../../src/protect/backup/index.ts';
import { recordDamage } from '../../src/repository/index.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { promoteInPlace } from '../support/promote-in-place.ts';
import { type ProtectedServer, startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { fetchRefereeTools, type RefereeTools, whyNoReferees } from '../support/referee-tools.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { repositoryWith } from '../support/repository-with.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';
import { startStandby, untilReplayed } from '../support/standby-server.ts';
import { until } from '../support/until.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

const schema = `
  CREATE TABLE big (n int PRIMARY KEY, text text) WITH (fillfactor = 90);
  INSERT INTO big SELECT n, repeat(md5(n::text), 9) FROM generate_series(1, 40000) n;
  CREATE INDEX ON big USING gin ((string_to_array(left(text, 8), 'a')));
  CREATE TABLE tail (n int PRIMARY KEY, text text);
  INSERT INTO tail SELECT n, repeat('t', 400) FROM generate_series(1, 6000) n;
  CREATE TABLE emptied AS SELECT * FROM big LIMIT 3000;
  CREATE TABLE dropped AS SELECT * FROM big LIMIT 3000;
  CREATE TABLE rewritten AS SELECT n, text FROM big LIMIT 3000;
  CREATE INDEX rewritten_n ON rewritten (n);
  CREATE TABLE moved AS SELECT * FROM big LIMIT 2000;
  CREATE TABLE copied (n int, text text);
  CREATE TABLE stored (n int PRIMARY KEY, value bytea);
  ALTER TABLE stored ALTER value SET STORAGE EXTERNAL;
  INSERT INTO stored SELECT n, convert_to(repeat(md5(n::text), 200), 'UTF8') FROM generate_series(1, 200) n;
  CREATE TABLE seen (n int, text text);
  INSERT INTO seen SELECT n, repeat('s', 100) FROM generate_series(1, 5000) n;
  CREATE UNLOGGED TABLE volatile AS SELECT 1 AS n;
  CREATE SEQUENCE counter;
  SELECT lo_from_bytea(9000, convert_to(repeat('large', 9000), 'UTF8'))`;

/** Statements that go alone, each on its own. */
const firstChanges = [
  'UPDATE big SET text = reverse(text) WHERE n % 400 = 0',
  'DELETE FROM tail WHERE n > 1500',
  'VACUUM tail',
  'TRUNCATE emptied; INSERT INTO emptied SELECT * FROM big LIMIT 50',
  'DROP TABLE dropped',
  'CREATE TABLE created AS SELECT n, md5(n::text) FROM generate_series(1, 3000) n',
  'VACUUM FULL rewritten',
  'ALTER TABLE moved SET TABLESPACE apart',
  "UPDATE stored SET value = convert_to(repeat(md5((n + 1)::text), 150), 'UTF8') WHERE n % 9 = 0",
  "SELECT nextval('counter') FROM generate_series(1, 100)",
  'CREATE DATABASE logged TEMPLATE template0 STRATEGY wal_log',
  'CREATE DATABASE filed TEMPLATE template0 STRATEGY file_copy',
  'VACUUM seen',
];
const secondChanges = [
  // The bits of its visibility map are cleared, and no WAL names that page.
  'DELETE FROM seen WHERE n % 100 = 0',
  "UPDATE big SET text = 'short' WHERE n BETWEEN 20000 AND 20400",
  "INSERT INTO big SELECT n, repeat('new', 100) FROM generate_series(40001, 44000) n",
  "INSERT INTO tail SELECT n, repeat('again', 90) FROM generate_series(7000, 7300) n",
  'CLUSTER rewritten USING rewritten_n',
  'REINDEX TABLE big',
  "UPDATE moved SET text = 'moved' WHERE n % 50 = 0",
  'ALTER TABLE created SET TABLESPACE apart',
  "SELECT lo_put(9000, 20000, convert_to(repeat('other', 100), 'UTF8'))",
  'DROP DATABASE filed',
  'TRUNCATE created',
  "BEGIN; INSERT INTO emptied SELECT n, text FROM big LIMIT 20; PREPARE TRANSACTION 'waiting'",
];

/** A bulk load that extends the table and is taken back. */
const abortedCopy = (table: string) => `
  BEGIN; INSERT INTO ${table} SELECT n, repeat('gone', 100) FROM generate_series(1, 4000) n; ROLLBACK;
  INSERT INTO ${table} SELECT n, 'kept' FROM generate_series(1, 40) n`;

/** All that one can read in a server and that outlives a crash, as one text for each table and sequence. */
async function contentsOf(server: PostgresServer, database = 'postgres'): Promise<Record<string, string>> {
  const tables = await server.query<{ name: string }>(
    "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relpersistence = 'p'",
    database,
  );
  const contents: Record<string, string> = {};
  for (const { name } of tables) {
    const [row] = await server.query<{ text: string }>(
      `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS text FROM ${name} t`,
      database,
    );
    contents[name] = row!.text;
  }
  const others = `SELECT string_agg(sequencename || ' ' || last_value, ',') AS sequences,
    (SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database) AS databases,
    (SELECT string_agg(gid, ',') FROM pg_prepared_xacts) AS prepared,
    (SELECT md5(lo_get(oid)) FROM pg_largeobject_metadata) AS large FROM pg_sequences`;
  const [row] = await server.query<Record<string, string>>(others, database);
  return { ...contents, ...row };
}

/** The data files of users' relations, by their paths; free space maps are no part of what a server must not lose. */
async function relationFiles(directory: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const add = async (prefix: string, place: string): Promise<void> => {
    for (const entry of await readdir(place, { withFileTypes: true })) {
      const [path, full] = [`${prefix}${entry.name}`, join(place, entry.name)];
      const isLink = entry.isSymbolicLink();
      if (entry.isDirectory() || isLink) await add(`${path}/`, isLink ? await realpath(full) : full);
      const file = parseRelationPath(path);
      if (file === null || file.fork === 'fsm' || file.relation < 16_384) continue;
      files.set(path, await readFile(full));
    }
  };
  for (const part of ['base/', 'pg_tblspc/']) await add(part, join(directory, part));
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function assertSamePages(found: Map<string, Buffer>, expected: Map<string, Buffer>, whose: string): void {
  assert.deepEqual([...found.keys()], [...expected.keys()], `the files of ${whose}`);
  for (const [path, bytes] of found) {
    const other = expected.get(path)!;
    assert.equal(bytes.length, other.length, `the length of ${path}, compared with ${whose}`);
    for (let at = 0; at < bytes.length; at += 8192) {
      const [page, theirs] = [bytes.subarray(at, at + 8192), other.subarray(at, at + 8192)];
      const difference = page.equals(theirs) ? '' : describeDifference(page, theirs);
      assert.equal(difference, '', `block ${at / 8192} of ${path} is that of ${whose}`);
    }
  }
}

/** What tells whether it is hint bits or another state of the page: the position in WAL of each, and the first bytes. */
function describeDifference(page: Buffer, other: Buffer): string {
  const positions = [page, other].map(
    (each) => `${each.readUInt32LE(0).toString(16)}/${each.readUInt32LE(4).toString(16)}`,
  );
  const offsets = [...page.keys()].filter((offset) => page[offset] !== other[offset]);
  const first = offsets.slice(0, 20).map((offset) => `${offset}: ${page[offset]}, ${other[offset]}`);
  return `at ${positions.join(' and ')}, ${offsets.length} bytes differ: ${first.join('; ')}`;
}

describe('increments of PostgreSQL 18', { skip: whyNoReferees() }, () => {
  let world: ProtectedServer;
  let tools: RefereeTools;
  let tablespace: string;

  before(async () => {
    tools = await fetchRefereeTools();
    const settings = { summarize_wal: 'on', autovacuum: 'off', max_prepared_transactions: '5' };
    world = await startProtectedServer(18, settings);
    tablespace = join(world.scratch, 'apart');
    await mkdir(tablespace);
    await giveToServerUser(tablespace);
    await world.server.query(`CREATE TABLESPACE apart LOCATION '${tablespace}'`);
    await world.server.query(schema);
  });
  after(() => world?.dispose());

  const baseBackup = async (name: string, ...args: string[]) => {
    const { server, scratch } = world;
    const directory = join(scratch, name);
    const verdict = await tools.run(
      'pg_basebackup',
      ['-U', 'postgres', '-D', directory, '-c', 'fast', '-T', `${tablespace}=${directory}-apart`, ...args],
      { PGPASSWORD: server.password, PGHOST: '127.0.0.1', PGPORT: String(server.port) },
    );
    assert.equal(verdict.code, 0, verdict.stderr);
    return directory;
  };

  it('restore to what the server has, page by page, and to what pg_combinebackup makes of its own increments', async () => {
    const { server, scratch } = world;
    const base = await world.backUp();
    assert.equal(base.reading.manner, 'everything');
    const full = await baseBackup('full');
    for (const change of firstChanges) await server.query(change);
    await server.query(abortedCopy('copied'));
    const first = await world.backUp();
    assertStandsOn(first, base);
    // Their increment ends here, too: over a cut and what grew behind it PostgreSQL may lose blocks (docs/increments.md).
    const early = await baseBackup('early', `--incremental=${full}/backup_manifest`);
    for (const change of secondChanges) await server.query(change);
    await server.query(abortedCopy('created'));
    const second = await world.backUp();
    assertStandsOn(second, first);
    assert.ok(second.readBytes < second.bytes / 2, `${second.readBytes} of ${second.bytes} bytes were read`);
    assert.doesNotMatch(String(second.snapshot.details.backupLabel), /INCREMENTAL/);
    const increment = await baseBackup('increment', `--incremental=${early}/backup_manifest`);
    const combined = join(scratch, 'combined');
    const mapping = ['-T', `${increment}-apart=${combined}-apart`];
    const verdict = await tools.run('pg_combinebackup', [full, early, increment, '-o', combined, ...mapping]);
    assert.equal(verdict.code, 0, verdict.stderr);
    await world.settle();
    const restored = await world.restore({ target: { kind: 'latest' }, ...owner });
    assert.equal(restored.proposal.snapshot.id, second.snapshot.id);

    const found = await relationFiles(restored.proposal.into);
    assert.ok(found.size > 30, `${found.size} files of relations`);
    // A visibility map is whole in ours alone; theirs may show what was deleted since (docs/increments.md).
    const withoutMaps = (files: Map<string, Buffer>) => new Map([...files].filter(([path]) => !path.includes('_vm')));
    assertSamePages(withoutMaps(found), withoutMaps(await relationFiles(combined)), 'pg_combinebackup');
    await server.stop('fast');
    assertSamePages(found, withoutUnlogged(await relationFiles(server.dataDirectory), found), 'the server');
    await server.restart();

    await using copy = await startPostgres({ major: 18, dataDirectory: restored.proposal.into });
    await untilOpen(copy);
    assert.deepEqual(await contentsOf(copy), await contentsOf(server));
    await copy.query('CREATE EXTENSION pg_visibility; CREATE EXTENSION amcheck');
    assert.deepEqual(await copy.query("SELECT * FROM pg_check_visible('seen')"), []);
    const judged = await tools.run(
      'pg_amcheck',
      ['--all', '--heapallindexed', '--install-missing', `--maintenance-db=${copy.url}`],
      {
        ...{ PGPASSWORD: copy.password, PGHOST: '127.0.0.1', PGPORT: String(copy.port), PGUSER: 'postgres' },
      },
    );
    assert.equal(judged.code, 0, judged.stdout + judged.stderr);
    await rm(combined, { recursive: true });
  });
});

describe('a backup that finds no way to an increment', () => {
  let world: ProtectedServer;
  before(async () => {
    world = await startProtectedServer(18, { summarize_wal: 'on', autovacuum: 'off' });
    await world.server.query('CREATE TABLE item AS SELECT n, md5(n::text) FROM generate_series(1, 5000) n');
    await world.backUp();
  });
  after(() => world?.dispose());

  /** Reads everything and says why, while it runs and afterwards; the next one stands on it again. */
  const assertFallsBack = async (why: RegExp) => {
    const notes: string[] = [];
    const progress = { ...silentProgress, note: (text: string) => void notes.push(text) };
    const { reading, snapshot } = await world.backUp({ progress });
    assert.ok(reading.manner === 'everything');
    assert.match(reading.why ?? '', why);
    assert.ok(
      notes.some((note) => why.test(note)),
      notes.join(),
    );
    assert.deepEqual(readingOf(snapshot), reading);
    return reading;
  };
  const assertIncrement = async () => {
    const { reading } = await world.backUp();
    assert.equal(reading.manner, 'increment', JSON.stringify(reading));
  };
  const setSummaries = async (value: 'on' | 'off') => {
    await world.server.query(`ALTER SYSTEM SET summarize_wal = ${value}`);
    await world.server.query('SELECT pg_reload_conf()');
    await world.server.query('SELECT pg_switch_wal()');
  };

  it('takes one where nothing stands against it, and reads everything when that is asked for', async () => {
    await assertIncrement();
    const { reading } = await world.backUp({ type: 'full' });
    assert.ok(reading.manner === 'everything' && reading.why === null && reading.over !== null);
    await assertIncrement();
  });

  it('reads everything while the server does not summarize its WAL, and once more as a stretch has no summary', async () => {
    await setSummaries('off');
    await assertFallsBack(/summarize_wal is off/);
    await setSummaries('on');
    // What was written meanwhile is summarized later, unless its WAL is gone by then.
    await world.backUp();
    await assertIncrement();
  });

  it('reads everything of a standby that has replayed no newer checkpoint, and changes of one that has', async () => {
    const { server } = world;
    await server.query('CHECKPOINT');
    await using standby = await startStandby(server, join(world.scratch, 'standby'), { summarize_wal: 'on' });
    await untilReplayed(server, standby);
    const source = targetOf(standby.backupSocketUrl);
    await world.backUp();
    // Its last checkpoint is still the one before that backup.
    const early = await world.backUp({ source });
    assert.ok(early.fromStandby && early.reading.manner === 'everything');
    assert.match(early.reading.why ?? '', /the server refused: /);
    await server.query('UPDATE item SET n = n + 1 WHERE n % 100 = 0; CHECKPOINT');
    await untilReplayed(server, standby);
    await standby.query('CHECKPOINT');
    const late = await world.backUp({ source });
    // Both began at the same checkpoint.
    assertStandsOn(late, early);
    await assertIncrement();
  });

  it('reads everything when summaries were removed', async () => {
    const { server } = world;
    await server.query('INSERT INTO item SELECT 1');
    const [written] = await server.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    await server.query('SELECT pg_switch_wal(); CHECKPOINT');
    // What is not summarized yet cannot be removed, and would be there afterwards.
    await until('the summary of what was written', async () => {
      const [row] = await server.query<{ done: boolean }>(
        `SELECT max(end_lsn) >= '${written!.lsn}' AS done FROM pg_available_wal_summaries()`,
      );
      return row!.done;
    });
    const summaries = join(world.server.dataDirectory, 'pg_wal', 'summaries');
    // One may be in the making, and gets its name meanwhile.
    for (const name of await readdir(summaries)) await rm(join(summaries, name), { force: true });
    await assertFallsBack(/the server refused: .*summaries/i);
    await assertIncrement();
  });

  it('reads everything when its base has lost a pack, and does not stand on that one again', async () => {
    const { snapshots } = await world.repository.listSnapshots();
    const index = await world.repository.loadIndex();
    const packs = [...index.listPacks()].filter(({ content }) => content === 'data');
    index.close();
    assert.ok(snapshots.length > 0 && packs.length > 0);
    for (const { packId } of packs) await recordDamage(world.repository, packId, {});
    await assertFallsBack(/needs what is damaged/);
    await assertIncrement();
  });

  it('goes on to read everything when it turns out on the way that the base has lost something', async () => {
    const { repository } = world;
    // Packs that nobody may count on, as if they had become so after the base was chosen.
    const loadIndex = async () => {
      const index = await repository.loadIndex();
      for (const { packId, content } of index.listPacks()) if (content === 'data') index.markDoubtful(packId);
      return Object.assign(index, { listPacks: () => [] });
    };
    const overtaken = repositoryWith(repository, { loadIndex });
    const { reading, snapshot, storedBytes } = await world.backUp({ repository: overtaken });
    assert.ok(reading.manner === 'everything' && reading.over !== null);
    assert.match(reading.why ?? '', /the base [0-9a-f]{12} has lost a part of "data\//);
    assert.ok(storedBytes > 1_000_000, 'all of it was stored again');
    const restored = await world.restore({ target: { kind: 'latest' }, snapshot: snapshot.id, ...owner });
    assert.ok(restored.bytes > 1_000_000);
    await assertIncrement();
  });

  it('reads everything on another timeline', async () => {
    await promoteInPlace(world.server);
    await assertFallsBack(/timeline 1, and the server is on timeline 2/);
    await assertIncrement();
  });
});

it('a backup of a server before 17 reads everything and says why', async () => {
  await using server = await startPostgres({ major: 16 });
  const scratch = await makeScratchDirectory('increments-16');
  const { repository, stateDirectory } = await makeRepository(scratch);
  try {
    const source = targetOf(server.backupSocketUrl);
    const common = { repository, stateDirectory, source, cluster: 'main', clock: systemClock };
    const { reading } = await runBackup({ ...common, progress: silentProgress, checkpoint: 'fast' });
    assert.ok(reading.manner === 'everything');
    assert.match(reading.why ?? '', /PostgreSQL 16 cannot tell what changed/);
  } finally {
    await repository.close();
    await rm(scratch, { recursive: true });
  }
});

function assertStandsOn({ reading }: BackupResult, { snapshot }: BackupResult): void {
  assert.ok(reading.manner === 'increment', JSON.stringify(reading));
  assert.deepEqual([reading.base, reading.baseStart], [snapshot.id, snapshot.wal.start]);
}

/** A backup has of an unlogged table only its empty form. */
function withoutUnlogged(files: Map<string, Buffer>, found: Map<string, Buffer>): Map<string, Buffer> {
  return new Map([...files].filter(([path]) => found.has(path) || !files.has(`${path}_init`)));
}
