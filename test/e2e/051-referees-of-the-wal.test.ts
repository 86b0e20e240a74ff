import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { formatLsn, formatTimestamp, parseLsn } from '../../src/postgres/index.ts';
import { contiguousEndIn, fetchWalFile, readWalInventory, scanWal } from '../../src/protect/wal/index.ts';
import { flipBit } from '../support/bits.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { untilOpen } from '../support/protected-server.ts';
import { prepareRandomHistory, writeRandomHistory } from '../support/random-history.ts';
import { fetchRefereeTools, type RefereeTools, whyNoReferees } from '../support/referee-tools.ts';
import { makeRepository, type TestRepository } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { startStandby, untilReplayed } from '../support/standby-server.ts';
import { flushLsnOf, onlyLineage, type RunningReceiver, startReceiver } from '../support/wal-receiver.ts';

const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const WAIT_MS_MAX = 180_000;

/** A commit or an abort, as one line that two readers of WAL must agree on. */
type TransactionLine = string;

/**
 * pg_receivewal stands beside our receiver on the same server, which is a standby that is promoted while both are at work.
 */
describe(`WAL in the repository before PostgreSQL's own tools (HOLDFAST_SEED=${seed})`, {
  skip: whyNoReferees(),
}, () => {
  const stack = new AsyncDisposableStack();
  let tools: RefereeTools;
  let scratch: string;
  let primary: PostgresServer;
  let server: PostgresServer;
  let place: TestRepository;
  let receiver: RunningReceiver;
  let peer: ChildProcess;
  /** What pg_receivewal wrote, and what `wal fetch` gives. */
  let theirs: string;
  let ours: string;
  let start: bigint;
  let end: bigint;
  /** Where timeline 2 begins. */
  let fork: bigint;
  let system: string;

  before(async () => {
    tools = await fetchRefereeTools();
    scratch = await makeScratchDirectory('referees-wal');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    const settings = { max_prepared_transactions: '20', wal_keep_size: '1GB', autovacuum: 'off' };
    primary = stack.use(await startPostgres({ major: 18, walSegmentSizeMb: 1, settings }));
    await primary.query('CREATE TABLE history (n int PRIMARY KEY)');
    await prepareRandomHistory(primary);
    server = stack.use(await startStandby(primary, join(scratch, 'standby')));
    await untilOpen(server);
    for (const name of ['theirs', 'ours']) await mkdir(join(scratch, name));
    [theirs, ours] = [join(scratch, 'theirs'), join(scratch, 'ours')];
    place = await makeRepository(scratch);
    stack.defer(() => place.repository.close());
    receiver = stack.use(startReceiver({ ...place, source: server.backupSocketUrl, flushIntervalMs: 100 }));
    peer = startPeer();
    stack.defer(() => void peer.kill('SIGKILL'));
    await untilPeerBegan();
    const random = seededRandom(seed);
    await writeRandomHistory(primary, random, { firstRow: 1, transactions: 150 });
    // Whole segments of the first timeline, however little the history wrote.
    for (const n of [90_000, 90_001]) {
      await primary.query('SELECT pg_switch_wal()');
      await primary.query(`INSERT INTO history VALUES (${n})`);
    }
    await promote();
    await writeRandomHistory(server, random, { firstRow: 151, transactions: 150 });
    for (const n of [100_000, 100_001, 100_002]) {
      await server.query('SELECT pg_switch_wal()');
      await server.query(`INSERT INTO history VALUES (${n})`);
    }
    end = await flushLsnOf(server);
    await receiver.durable(end);
    await untilPeerHas(end);
    await fetchAll();
  });
  after(() => stack.disposeAsync());

  function startPeer(): ChildProcess {
    const { backupUrl: dbname } = server;
    const args = ['--directory', theirs, '--dbname', dbname, '--no-password', '--synchronous'];
    return spawn(tools.path('pg_receivewal'), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  }

  /** The last row of the primary is on the standby, which then goes on alone. */
  async function promote(): Promise<void> {
    await untilReplayed(primary, server);
    await primary.stop('immediate');
    await server.query('SELECT pg_promote()');
  }

  /** It makes its first file with the first WAL that it is sent. */
  async function untilPeerBegan(): Promise<void> {
    const deadline = Date.now() + WAIT_MS_MAX;
    while ((await readdir(theirs)).length === 0) {
      if (Date.now() > deadline) assert.fail('pg_receivewal never began');
      await primary.query('SELECT pg_current_xact_id()');
      await systemClock.sleep(20);
    }
  }

  async function untilPeerHas(lsn: bigint): Promise<void> {
    const deadline = Date.now() + WAIT_MS_MAX;
    const [row] = await server.query<{ name: string }>(`SELECT pg_walfile_name('${formatLsn(lsn)}') AS name`);
    while (!(await readdir(theirs)).includes(`${row!.name}.partial`)) {
      if (Date.now() > deadline) assert.fail(`pg_receivewal never came to ${row!.name}`);
      await systemClock.sleep(20);
    }
  }

  /** All that our repository has, each file as PostgreSQL would be given it. */
  async function fetchAll(): Promise<void> {
    const { repository } = place;
    const lineage = await onlyLineage(repository);
    system = lineage.header.system;
    const size = BigInt(lineage.header.segmentBytes);
    const [first] = (await readdir(theirs)).filter((name) => name.startsWith('00000001')).sort();
    start = BigInt(`0x${first!.slice(8, 16)}`) * 2n ** 32n + BigInt(`0x${first!.slice(16, 24)}`) * size;
    const text = await readFile(join(theirs, '00000002.history'), 'utf8');
    fork = parseLsn(text.split('\t')[1]!);
    for (let at = start; at < end; at += size) await fetchSegment(at >= fork - (fork % size) ? 2 : 1, at / size, size);
    const history = '00000002.history';
    const fetched = await fetchWalFile(repository, { system, name: history, destination: join(ours, history) });
    assert.equal(fetched.exitCode, 0, fetched.reason);
  }

  async function fetchSegment(timeline: number, number: bigint, size: bigint): Promise<void> {
    const name = segmentName(timeline, number, size);
    const fetched = await fetchWalFile(place.repository, { system, name, destination: join(ours, name) });
    assert.equal(fetched.exitCode, 0, fetched.reason);
  }

  it('is byte for byte what pg_receivewal wrote beside our receiver, across the promotion', async () => {
    const names = (await readdir(theirs)).filter((name) => !name.endsWith('.partial'));
    assert.ok(names.filter((name) => name.startsWith('00000001')).length >= 2, names.join(' '));
    assert.ok(names.filter((name) => /^00000002[0-9A-F]{16}$/.test(name)).length >= 2, names.join(' '));
    assert.ok(names.includes('00000002.history'));
    for (const name of names) {
      const [their, our] = await Promise.all([theirs, ours].map((directory) => readFile(join(directory, name))));
      assert.ok(their!.equals(our!), `"${name}" differs from what pg_receivewal wrote`);
    }
  });

  it("is byte for byte what the server's own pg_wal holds", async () => {
    const last = (await readdir(ours)).sort().at(-1)!;
    let compared = 0;
    for (const name of await readdir(ours)) {
      const own = await readFile(join(server.dataDirectory, 'pg_wal', name)).catch(() => null); // Recycled since.
      // The server may have gone on in the segment that was open when it was fetched.
      if (own === null || name === last) continue;
      assert.ok(own.equals(await readFile(join(ours, name))), `"${name}" differs from the server's`);
      compared += 1;
    }
    assert.ok(compared >= 3, `only ${compared} files were still there`);
  });

  it('is read by pg_waldump from its first record to its last, and a flipped bit is seen', async () => {
    const read = (directory: string, timeline: number, from: bigint, to: bigint) =>
      tools.run('pg_waldump', [
        ...['--quiet', `--path=${directory}`, `--timeline=${timeline}`],
        ...[`--start=${formatLsn(from)}`, `--end=${formatLsn(to)}`],
      ]);
    const size = BigInt((await onlyLineage(place.repository)).header.segmentBytes);
    const boundary = fork - (fork % size);
    const first = await firstRecord(start, 1);
    const onFirst = await read(ours, 1, first, boundary);
    assert.equal(onFirst.code, 0, onFirst.stderr);
    const onSecond = await read(ours, 2, await firstRecord(boundary, 2), end);
    assert.equal(onSecond.code, 0, onSecond.stderr);

    const damaged = join(scratch, 'damaged');
    await mkdir(damaged);
    for (const file of await readdir(ours)) await copyFile(join(ours, file), join(damaged, file));
    // In the header of a record, where no unused space can be hit.
    const [lsn] = (await listByWaldump(1, first, boundary))[50]!.split(' ');
    const at = parseLsn(lsn!);
    const name = join(damaged, segmentName(1, at / size, size));
    await writeFile(name, flipBit(await readFile(name), 8 * Number(at % size) + 33));
    const onDamaged = await read(damaged, 1, first, boundary);
    assert.equal(onDamaged.code, 1, 'pg_waldump read over a flipped bit');
  });

  /** Where the first record begins in a segment, by pg_waldump. */
  async function firstRecord(from: bigint, timeline: number): Promise<bigint> {
    const { stdout, stderr } = await tools.run('pg_waldump', [
      ...[`--path=${ours}`, `--timeline=${timeline}`, `--start=${formatLsn(from)}`, '--limit=1'],
    ]);
    const lsn = /lsn: ([0-9A-F]+\/[0-9A-F]+)/.exec(stdout)?.[1];
    assert.ok(lsn !== undefined, stderr);
    return parseLsn(lsn);
  }

  it('has exactly the commits and aborts that pg_waldump lists: number, time and place', async () => {
    const [lineage, inventory] = [await onlyLineage(place.repository), await readWalInventory(place.repository)];
    const size = BigInt(lineage.header.segmentBytes);
    const boundary = fork - (fork % size);
    const from = await firstRecord(start, 1);
    const expected = [...(await listByWaldump(1, from, boundary)), ...(await listByWaldump(2, boundary, end))];
    const found: TransactionLine[] = [];
    const reach = contiguousEndIn(lineage, 2, from);
    const range = { lineage: lineage.lineage, timeline: 2, from, to: reach < end ? reach : end };
    for await (const landmark of scanWal(place.repository, inventory, range)) {
      if (landmark.kind !== 'transaction') continue;
      const { outcome, xid, at } = landmark.transaction;
      found.push(`${formatLsn(landmark.lsn)} ${outcome} ${xid} ${formatTimestamp(at)}`);
    }
    assert.ok(expected.length > 200, `pg_waldump lists ${expected.length}`);
    assert.deepEqual(found, expected);
  });

  async function listByWaldump(timeline: number, from: bigint, to: bigint): Promise<TransactionLine[]> {
    const { stdout } = await tools.run('pg_waldump', [
      ...['--rmgr=Transaction', `--path=${ours}`, `--timeline=${timeline}`],
      ...[`--start=${formatLsn(await firstRecord(from, timeline))}`, `--end=${formatLsn(to)}`],
    ]);
    return stdout.split('\n').flatMap((line) => {
      const [, ownXid, lsn, what, rest] =
        /tx: +(\d+), lsn: (\S+), prev \S+ desc: (COMMIT|ABORT|COMMIT_PREPARED|ABORT_PREPARED) (.*)$/.exec(line) ?? [];
      if (lsn === undefined) return [];
      // The end of a prepared transaction is logged by whoever ends it; the number of the one that ended comes first.
      const xid = what!.endsWith('_PREPARED') ? /^(\d+):/.exec(rest!)![1] : ownXid;
      const time = /(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}\.\d{6}) UTC/.exec(rest!)!;
      const kind = what!.startsWith('COMMIT') ? 'commit' : 'abort';
      return [`${formatLsn(parseLsn(lsn))} ${kind} ${xid} ${time[1]}T${time[2]}Z`];
    });
  }
});

/** Written out here, so that what is fetched is not named by the code that is judged. */
function segmentName(timeline: number, number: bigint, size: bigint): string {
  const perFile = 2n ** 32n / size;
  return [BigInt(timeline), number / perFile, number % perFile]
    .map((part) => part.toString(16).toUpperCase().padStart(8, '0'))
    .join('');
}
