import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { type HoldfastError, systemClock } from '../../src/lib/index.ts';
import {
  formatHistoryName,
  formatLsn,
  formatTimestamp,
  parseLsn,
  parseTimelineHistory,
} from '../../src/postgres/index.ts';
import { LandmarkReader, readWalInventory, scanWal } from '../../src/protect/wal/index.ts';
import { parseRecoveryTarget, prepareRestore, type RestoreProposal } from '../../src/restore/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { startPostgres } from '../support/postgres-server.ts';
import {
  historyOf,
  type ProtectedServer,
  rowsUpTo,
  startProtectedServer,
  untilOpen,
} from '../support/protected-server.ts';
import { testCredential } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Numbers of transactions whose fate a restore has to tell apart. */
interface Noted {
  overtaken: number;
  rolledBack: number;
  withSubtransaction: number;
  subtransaction: number;
  truncation: number;
}

describe('the targets of a restore', () => {
  let world: ProtectedServer;
  const noted = {} as Noted;
  let points: { one: string; twice: string[] };

  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off', max_prepared_transactions: '5' });
    const { server } = world;
    await server.query(
      'CREATE EXTENSION pg_walinspect; CREATE TABLE noise (text text); CREATE TABLE other (n int); INSERT INTO noise VALUES (1)',
    );
    await world.write(5);
    await world.backUp();
    // The checkpoint from which a backup begins tells whole seconds: a time of that second may lie before it.
    await systemClock.sleep(1_000);
    await world.write(5);
    const point = async (name: string) =>
      (await server.query<{ lsn: string }>(`SELECT pg_create_restore_point('${name}') AS lsn`))[0]!.lsn;
    points = { one: await point('one'), twice: [] };
    await world.write(1);
    points.twice.push(await point('twice'));
    await world.write(1);
    points.twice.push(await point('twice'));
    await writeUnusualTransactions();
    await world.write(2);
    // So that there are whole segments, and with them an index.
    for (let i = 0; i < 3; i++) {
      await server.query('SELECT pg_switch_wal()');
      await world.write(1);
    }
    await world.settle();
  });
  after(() => world?.dispose());

  async function writeUnusualTransactions(): Promise<void> {
    const { server } = world;
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    const number = async (sql: string) => Number((await client.query<{ n: string }>(sql)).rows[0]!.n);
    const own = 'SELECT (pg_current_xact_id()::text::bigint % (2^32)::bigint)::text AS n';
    try {
      await client.query('BEGIN');
      noted.overtaken = await number(own);
      await world.write(1);
      await client.query('COMMIT');

      await client.query('BEGIN');
      noted.rolledBack = await number(own);
      await client.query('INSERT INTO noise VALUES (2)');
      await client.query('ROLLBACK');

      await client.query('BEGIN');
      noted.withSubtransaction = await number(own);
      await client.query('SAVEPOINT here');
      await client.query("INSERT INTO noise VALUES ('sub')");
      await client.query('RELEASE here');
      await client.query('COMMIT');
      noted.subtransaction = await number("SELECT xmin::text AS n FROM noise WHERE text = 'sub'");

      await client.query("BEGIN; INSERT INTO other VALUES (3); PREPARE TRANSACTION 'left open'");
      await client.query("BEGIN; INSERT INTO other VALUES (4); PREPARE TRANSACTION 'ended'");
      await client.query("COMMIT PREPARED 'ended'");

      await client.query('BEGIN');
      noted.truncation = await number(own);
      await client.query('ALTER TABLE history ADD COLUMN more text');
      await client.query('CREATE TABLE gone AS SELECT 1; DROP TABLE gone; TRUNCATE noise');
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
  }

  const prepare = (to: string, others: { exclusive?: boolean; timeline?: number | 'current' } = {}) =>
    prepareRestore(
      {
        ...{ repository: world.repository, clock: systemClock, into: join(world.scratch, 'nowhere') },
        ...{ target: parseRecoveryTarget(to), ...others },
      },
      true,
    ).then(({ proposal }) => proposal);

  async function refusal(to: string, others: { timeline?: number } = {}): Promise<HoldfastError> {
    const outcome = await prepare(to, others).then(
      () => null,
      (error: HoldfastError) => error,
    );
    assert.ok(outcome !== null, `"${to}" was refused`);
    return outcome;
  }

  async function restoreAndRead(to: string) {
    const { binDirectory } = world.server;
    const result = await world.restore({ target: parseRecoveryTarget(to), start: { binDirectory }, ...owner });
    const instance = result.instance!;
    try {
      return { result, rows: await historyOf(instance.instance) };
    } finally {
      await instance.stop();
      await rm(result.proposal.into, { recursive: true });
    }
  }

  /** Where PostgreSQL's own recovery ends when it is given all WAL and a target of its own. */
  async function whereServerStops(settings: Record<string, string>): Promise<bigint> {
    const { proposal } = await world.restore({ target: { kind: 'latest' }, ...owner });
    const { into } = proposal;
    const file = join(into, 'postgresql.auto.conf');
    const others = (await readFile(file, 'utf8')).split('\n').filter((line) => !line.startsWith('recovery_target'));
    const own = { recovery_target_timeline: '1', recovery_target_action: 'promote', ...settings };
    const lines = Object.entries(own).map(([name, value]) => `${name} = '${value}'`);
    await writeFile(file, [...others, ...lines, ''].join('\n'));
    {
      await using server = await startPostgres({ major: 18, dataDirectory: into });
      await untilOpen(server);
      await server.query('CHECKPOINT');
    }
    const history = parseTimelineHistory(readFileSync(join(into, 'pg_wal', formatHistoryName(2)), 'utf8'));
    await rm(into, { recursive: true });
    return history.at(-1)!.switchLsn;
  }

  it('come from an index that says the same as the WAL, and as the server itself', async () => {
    const inventory = await readWalInventory(world.repository);
    const [lineage] = inventory.lineages;
    const objects: string[] = [];
    for await (const { name } of world.repository.store.list(`wal/${lineage!.system}/${lineage!.lineage}/landmarks/`)) {
      objects.push(name);
    }
    assert.ok(objects.length >= 3, `${objects.length} objects of the index`);
    const history = { lineage: lineage!.lineage, timeline: 1 };
    const [snapshot] = (await world.repository.listSnapshots()).snapshots;
    const range = { from: parseLsn(snapshot!.wal.start), to: 1n << 62n };
    const scanned = await collect(scanWal(world.repository, inventory, { ...history, ...range }));
    const read = await collect(new LandmarkReader(world.repository, inventory, history).read(range));
    assert.deepEqual(read, scanned);
    // The server's own reader of its WAL is the referee.
    const [flushed] = await world.server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    const rows = await world.server.query<{ lsn: string; type: string; at: string }>(`
      SELECT start_lsn AS lsn, record_type AS type,
             (extract(epoch FROM (regexp_match(description, '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+[+-][0-9:]+'))[1]::timestamptz)
               * 1000000)::bigint::text AS at
      FROM pg_get_wal_records_info('${snapshot!.wal.start}', '${flushed!.lsn}')
      WHERE resource_manager = 'Transaction' AND record_type <> 'INVALIDATION' AND record_type <> 'ASSIGNMENT'
      ORDER BY start_lsn`);
    const expected = rows.map(({ lsn, type, at }) => [parseLsn(lsn), type, type === 'PREPARE' ? null : BigInt(at)]);
    const told = read.flatMap((landmark) => {
      if (landmark.kind === 'prepared') return [[landmark.lsn, 'PREPARE', null]];
      if (landmark.kind !== 'transaction') return [];
      const { outcome, wasPrepared, at } = landmark.transaction;
      return [[landmark.lsn, `${outcome.toUpperCase()}${wasPrepared ? '_PREPARED' : ''}`, at]];
    });
    assert.deepEqual(told, expected);
    assert.deepEqual(
      read.flatMap((landmark) => (landmark.kind === 'prepared' ? [landmark.prepared.name] : [])),
      ['left open', 'ended'],
    );
  });

  it('end where PostgreSQL itself ends with a target of the same meaning', async () => {
    const middle = world.steps[8]!;
    const time = formatTimestamp(middle.at).replace('T', ' ').replace('Z', '+00');
    const questions: [string, Record<string, string>, boolean?][] = [
      [formatTimestamp(middle.at), { recovery_target_time: time }],
      [formatTimestamp(middle.at), { recovery_target_time: time, recovery_target_inclusive: 'off' }, true],
      [`xid:${noted.overtaken}`, { recovery_target_xid: String(noted.overtaken) }],
      [
        `xid:${noted.withSubtransaction}`,
        { recovery_target_xid: String(noted.withSubtransaction), recovery_target_inclusive: 'off' },
        true,
      ],
      ['name:one', { recovery_target_name: 'one' }],
      ['immediate', { recovery_target: 'immediate' }],
    ];
    for (const [to, settings, exclusive = false] of questions) {
      const { target } = await prepare(to, { exclusive });
      assert.equal(formatLsn(target.reachedLsn), formatLsn(await whereServerStops(settings)), to);
    }
  });

  it('before a commit leave it out, and say what it is', async () => {
    const { after: behind } = await commitsAround(String(noted.truncation));
    const truncation = behind.find(({ xid }) => xid === noted.truncation)!;
    assert.equal(truncation.cause, 'unknown');
    assert.ok(truncation.removedFiles!.length >= 1);
    assert.ok(truncation.changedRelations!.length >= 1);
    const proposal = await prepare(truncation.restoreTo!);
    assert.match(
      proposal.target.notes.join('\n'),
      new RegExp(`left out is the commit of transaction ${noted.truncation} of .* which removed files? `),
    );
    assert.equal(proposal.lost.firstCommit?.xid, noted.truncation);
    const { result, rows } = await restoreAndRead(truncation.restoreTo!);
    assert.equal(rows, rowsUpTo(13), 'the column that it added is not there, and the rows are');
    assert.equal(result.checks!.preparedTransactions.length, 1);
    assert.deepEqual(
      result.proposal.target.prepared.map(({ name }) => name),
      ['left open'],
    );
    assert.match(describeNotes(result.proposal), /is prepared as "left open" .* and open at this moment/);
  });

  const describeNotes = ({ target }: RestoreProposal) => target.notes.join('\n');

  interface Line {
    kind: string;
    lsn: string;
    xid?: number;
    restoreTo?: string;
    cause?: string | null;
    removedFiles?: object[];
    changedRelations?: object[];
    name?: string;
    reachable: boolean;
  }

  async function commitsAround(around: string, ...more: string[]) {
    const run = await commandLine('wal', 'commits', '--around', around, ...more, '--json');
    assert.equal(run.code, 0, run.stderr);
    return documentOf<{ before: Line[]; after: Line[]; moreBefore: boolean }>(run);
  }

  const commandLine = (...words: string[]) =>
    runHoldfast(words, {
      environment: {
        HOLDFAST_REPOSITORY: world.place.path,
        HOLDFAST_PASSPHRASE: testCredential.kind === 'passphrase' ? testCredential.passphrase : '',
        HOLDFAST_STATE_DIR: world.place.stateDirectory,
      },
    });

  it('are found by hand around any moment', async () => {
    const around = await commitsAround(String(noted.overtaken), '--count', '2');
    assert.equal(around.after[0]!.xid, noted.overtaken);
    assert.equal(around.before.length, 2);
    assert.equal(around.moreBefore, true);
    assert.ok(around.after.every(({ reachable }) => reachable));
    const removing = await commitsAround('latest', '--removed-files');
    assert.ok(removing.before.some(({ xid }) => xid === noted.truncation));
    assert.ok(removing.before.every(({ kind, removedFiles }) => kind !== 'commit' || removedFiles!.length > 0));
    const named = await commitsAround('latest', '--restore-points');
    assert.deepEqual(
      named.before.map(({ name }) => name),
      ['one', 'twice', 'twice'],
    );
    const text = await commandLine('wal', 'commits', '--around', String(noted.truncation));
    assert.match(text.stdout, /──── here ────/);
    assert.match(text.stdout, /holdfast restore --cluster '?main'? --to before:0\/[0-9A-F]+ --into/);
  });

  it('that mean nothing or several things are refused with what there is instead', async () => {
    const rolledBack = await refusal(`xid:${noted.rolledBack}`);
    assert.equal(rolledBack.code, 'RESTORE_TARGET_NOT_FOUND');
    assert.match(rolledBack.detail!, /was rolled back/);
    const subtransaction = await refusal(`xid:${noted.subtransaction}`);
    assert.match(subtransaction.hints.join(), new RegExp(`--to xid:${noted.withSubtransaction}`));
    assert.match((await refusal('xid:999999')).detail!, /still open, wrote nothing/);
    const twice = await refusal('name:twice');
    assert.equal(twice.code, 'RESTORE_TARGET_AMBIGUOUS');
    assert.equal(twice.hints.length, 2);
    assert.equal((await refusal('name:never')).code, 'RESTORE_TARGET_NOT_FOUND');
    const early = await refusal(`xid:${world.steps[0]!.xid}`);
    assert.equal(early.code, 'RESTORE_TARGET_UNREACHABLE');
    assert.match(early.detail!, /complete only at/);
    assert.equal((await refusal('latest', { timeline: 7 })).code, 'RESTORE_TIMELINE_ABSENT');
    assert.equal((await prepare('latest', { timeline: 'current' })).target.timeline, 1);
  });

  it('by number say who comes along', async () => {
    const { target } = await prepare(`xid:${noted.overtaken}`);
    assert.match(target.notes.join('\n'), new RegExp(`with later numbers: ${world.steps[12]!.xid}`));
  });
});
