import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import {
  contiguousEndIn,
  describeContinuity,
  findRunningReceiver,
  lastRecord,
  readWalInventory,
  STATUS_FRESH_MS,
  type WalEvent,
} from '../../src/protect/wal/index.ts';
import { openDiskStore, openRepository, type Repository } from '../../src/repository/index.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { promoteInPlace } from '../support/promote-in-place.ts';
import { makeRepository, reopenRepository, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';
import {
  compareWithServer,
  flushLsnOf,
  onlyLineage,
  startReceiver,
  startReceiverProcess,
} from '../support/wal-receiver.ts';

/** Small segments, so that a little load fills several; all of them are kept on the server, to be compared. */
const settings = { wal_keep_size: '512MB', autovacuum: 'off' };

for (const major of [18, 14] as const) {
  describe(`PostgreSQL ${major}: a stream of WAL`, () => {
    let scratch: string;
    before(async () => {
      scratch = await makeScratchDirectory('wal-stream');
    });
    after(() => rm(scratch, { recursive: true, force: true }));

    it("stores segments that equal the server's files, whatever is written and switched", async () => {
      await using server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      const place = await makeRepository(scratch, `equal-${major}`);
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      await server.query('CREATE TABLE item (id int, text text)');
      for (let round = 0; round < 3; round++) {
        await server.query(`INSERT INTO item SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 10000) i`);
        await server.query(round === 1 ? 'SELECT pg_switch_wal()' : 'CHECKPOINT');
      }
      const end = await flushLsnOf(server);
      await receiver.durable(end);
      const result = await receiver.stop();
      assert.ok(result.durableLsn >= end);

      const lineage = await onlyLineage(place.repository);
      const compared = await compareWithServer(place.repository, server, lineage);
      assert.equal(compared.runs, 1);
      assert.ok(compared.end >= end);
      const { segments, fragments } = lineage.timelines.get(1)!;
      assert.ok(segments.size >= 6, `whole segments: ${segments.size}`);
      const wholeUntil = Math.max(...[...segments.keys()].map(Number)) + 1;
      assert.ok(
        fragments.every((fragment) => Number(fragment.start / 1048576n) >= wholeUntil),
        'joined fragments are gone',
      );
    });

    it('goes on at the right place after kill -9 at any moment under load', async () => {
      await using server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      const { path, stateDirectory, repository } = await makeRepository(scratch, `killed-${major}`);
      await server.query('CREATE TABLE item (id int, text text)');
      const load = startLoad(server);
      const seed = Date.now() % 100_000;
      const random = seededRandom(seed);
      try {
        for (let kill = 0; kill < 5; kill++) {
          const receiver = startReceiverProcess({ repositoryPath: path, stateDirectory, url: server.backupUrl });
          await receiver.told('progress', 1 + random.below(8));
          await systemClock.sleep(random.below(150));
          await receiver.kill9();
          const [slot] = await server.query<{ restart_lsn: string }>('SELECT restart_lsn FROM pg_replication_slots');
          const lineage = await onlyLineage(repository);
          const end = contiguousEndIn(lineage, 1, lineage.header.startLsn);
          assert.ok(end >= receiver.flushReported, `seed ${seed}, kill ${kill}: less is durable than was reported`);
          assert.ok(end >= parseLsn(slot!.restart_lsn), `seed ${seed}, kill ${kill}: the server was told more`);
        }
      } finally {
        await load.stop();
      }
      const end = await flushLsnOf(server);
      await using receiver = startReceiver({ repository, stateDirectory, source: server.backupUrl });
      await receiver.durable(end);
      await receiver.stop();
      const compared = await compareWithServer(repository, server, await onlyLineage(repository));
      assert.deepEqual({ runs: compared.runs, atEnd: compared.end >= end }, { runs: 1, atEnd: true }, `seed ${seed}`);
      assert.deepEqual(alarmsOf(receiver.events), []);
    });

    it('writes nothing while the server writes nothing, and knows that nothing is missing', async () => {
      await using server = await startPostgres({ major, settings });
      const place = await makeRepository(scratch, `idle-${major}`);
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      for (let attempt = 0; ; attempt++) {
        const end = await flushLsnOf(server);
        await receiver.durable(end);
        const objects = await listWal(place.repository);
        const from = receiver.events.length;
        await receiver.seen('three more reports', () => marksIn(receiver.events.slice(from)).length >= 3);
        if ((await flushLsnOf(server)) !== end && attempt < 5) continue; // The server itself wrote something.
        assert.deepEqual(await listWal(place.repository), objects);
        const marks = marksIn(receiver.events.slice(from));
        assert.ok(marks.at(-1)! > marks[0]!, 'the moment up to which all is known moves on');
        break;
      }
      const { systemId } = await systemOf(server);
      assert.ok((await findRunningReceiver(place.repository, { system: systemId, cluster: 'main' })) !== null);
      await receiver.stop();
      assert.equal(await findRunningReceiver(place.repository, { system: systemId, cluster: 'main' }), null);
    });

    it('follows a promotion: history first, and the new timeline from the start of the segment with the switch', async () => {
      await using server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      const place = await makeRepository(scratch, `promoted-${major}`);
      const store = new FaultyStore(openDiskStore(place.path));
      const repository = await openRepository({
        store,
        credential: testCredential,
        access: 'write',
        clock: systemClock,
      });
      await using receiver = startReceiver({ ...place, repository, source: server.backupUrl });
      await server.query('CREATE TABLE item AS SELECT i FROM generate_series(1, 20000) i');
      await receiver.durable(await flushLsnOf(server));
      await promoteInPlace(server);
      await server.query('INSERT INTO item SELECT i FROM generate_series(1, 30000) i');
      const end = await flushLsnOf(server);
      await receiver.seen('the new timeline', (event) => event.kind === 'stream' && event.timeline === 2);
      await receiver.durable(end);
      await receiver.stop();

      const lineage = await onlyLineage(place.repository);
      const [entry] = lineage.histories.get(2)!;
      assert.equal(entry!.timeline, 1);
      const { runs, timeline } = describeContinuity(lineage);
      assert.equal(timeline, 2);
      assert.equal(runs.length, 1);
      assert.ok(runs[0]!.end >= end);
      assert.ok(lineage.timelines.get(2)!.ranges[0]!.start <= entry!.switchLsn);
      await compareWithServer(place.repository, server, lineage);
      const inventory = await readWalInventory(place.repository);
      const last = await lastRecord(place.repository, inventory, {
        lineage: lineage.lineage,
        timeline: 2,
        from: runs[0]!.start,
      });
      assert.ok(last!.endLsn >= end, 'records are read across the switch');
      assert.deepEqual(alarmsOf(receiver.events), []);
      const puts = store.calls.filter((call) => call.startsWith('put'));
      const history = puts.findIndex((call) => call.endsWith('/history/00000002.history'));
      const firstOfTwo = puts.findIndex((call) => /\/(fragments|segments)\/00000002/.test(call));
      assert.ok(history >= 0 && history < firstOfTwo, 'the history is stored before any WAL of its timeline');
    });

    it('begins another lineage, with an alarm, when the server was set back and writes other WAL', async () => {
      await using server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      const place = await makeRepository(scratch, `set-back-${major}`);
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      await server.query('CREATE TABLE item AS SELECT i FROM generate_series(1, 5000) i');
      await receiver.durable(await flushLsnOf(server));
      await server.stop();
      const saved = join(scratch, `saved-${major}`);
      await copyDirectory(server.dataDirectory, saved);
      await server.restart();
      const shared = await flushLsnOf(server);
      await server.query('INSERT INTO item SELECT i FROM generate_series(1, 40000) i');
      const lost = await flushLsnOf(server);
      await receiver.durable(lost);
      await server.stop('immediate');
      await rm(server.dataDirectory, { recursive: true });
      await copyDirectory(saved, server.dataDirectory);
      await server.restart();
      await server.query('INSERT INTO item SELECT -1 FROM generate_series(1, 30)');
      const fork = await receiver.seen('the fork', (event) => event.kind === 'alarm' && event.alarm === 'fork');
      await receiver.seen('the new lineage', (event) => event.kind === 'lineage' && isChild(fork, event));
      const end = await flushLsnOf(server);
      for (;;) {
        const { lineages } = await readWalInventory(place.repository);
        const child = lineages.find(({ header }) => header.parent !== null);
        if (child !== undefined && (child.timelines.get(1)?.ranges.at(-1)?.end ?? 0n) >= end) break;
        await systemClock.sleep(50);
      }
      await receiver.stop();

      const { lineages } = await readWalInventory(place.repository);
      const child = lineages.find(({ header }) => header.parent !== null)!;
      const parent = lineages.find(({ header }) => header.parent === null)!;
      assert.equal(lineages.length, 2);
      assert.equal(child.header.parent!.lineage, parent.lineage);
      const { forkLsn } = child.header.parent!;
      assert.ok(forkLsn >= shared && forkLsn < lost, `the fork at ${forkLsn} lies in [${shared}, ${lost})`);
      assert.ok(contiguousEndIn(parent, 1, parent.header.startLsn) >= lost, 'what lay beyond stays in the parent');
      const compared = await compareWithServer(place.repository, server, child);
      assert.ok(compared.end >= end);
    });

    it('names the gap and goes on where the server still has WAL when its slot was invalidated', async () => {
      const few = { max_slot_wal_keep_size: '1MB', max_wal_size: '2MB', min_wal_size: '2MB', autovacuum: 'off' };
      await using server = await startPostgres({ major, walSegmentSizeMb: 1, settings: few });
      const place = await makeRepository(scratch, `gap-${major}`);
      const first = startReceiver({ ...place, source: server.backupUrl });
      await server.query('CREATE TABLE item (i int)');
      await first.durable(await flushLsnOf(server));
      const { durableLsn } = await first.stop();
      for (let round = 0; round < 8; round++) {
        await server.query('INSERT INTO item SELECT i FROM generate_series(1, 10000) i');
        await server.query('SELECT pg_switch_wal()');
        await server.query('CHECKPOINT');
      }
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      const gap = await receiver.seen('the gap', (event) => event.kind === 'alarm' && event.alarm === 'gap');
      await server.query('INSERT INTO item VALUES (1)');
      await receiver.durable(await flushLsnOf(server));
      await receiver.stop();
      const { gaps, runs } = describeContinuity(await onlyLineage(place.repository));
      assert.equal(runs.length, 2);
      assert.deepEqual(gaps, [(gap as Extract<WalEvent, { alarm: 'gap' }>).gap]);
      assert.equal(gaps[0]!.start, durableLsn);
      const [slot] = await server.query('SELECT active, wal_status FROM pg_replication_slots');
      assert.notEqual(slot!.wal_status, 'lost');
    });
  });
}

describe('a receiver beside others', () => {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('wal-stream');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
    await server.query('CREATE TABLE item (i int)');
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  it('is refused while another one uses its slot', async () => {
    const place = await makeRepository(scratch, 'two');
    await using receiver = startReceiver({ ...place, source: server.backupUrl });
    await receiver.seen('streaming', (event) => event.kind === 'state' && event.state === 'streaming');
    const second = startReceiver({ ...place, source: server.backupUrl });
    await assert.rejects(second.ended, { code: 'WAL_SLOT_ACTIVE' });
    await receiver.stop();
  });

  it('brings the WAL of a backup over a slot of its own and ends when it is durable', async () => {
    const place = await makeRepository(scratch, 'temporary');
    const until = Promise.withResolvers<bigint>();
    const receiver = startReceiver({ ...place, source: server.backupUrl, temporary: true, until: until.promise });
    await receiver.seen('streaming', (event) => event.kind === 'state' && event.state === 'streaming');
    const start = await flushLsnOf(server);
    const [slot] = await server.query('SELECT temporary FROM pg_replication_slots WHERE active');
    assert.equal(slot!.temporary, true);
    await server.query('INSERT INTO item SELECT i FROM generate_series(1, 30000) i');
    const end = await flushLsnOf(server);
    until.resolve(end);
    const result = await receiver.ended;
    assert.equal(result.ended, 'until');
    const lineage = await onlyLineage(place.repository);
    assert.ok(contiguousEndIn(lineage, 1, start) >= end);
    const slots = await server.query("SELECT 1 FROM pg_replication_slots WHERE slot_name LIKE '%backup%'");
    assert.deepEqual(slots, []);
  });

  it('names a damaged object, stores its WAL again and goes on', async () => {
    const place = await makeRepository(scratch, 'damaged');
    const first = startReceiver({ ...place, source: server.backupUrl, slot: 'holdfast_damaged' });
    await server.query('INSERT INTO item SELECT i FROM generate_series(1, 30000) i');
    await first.durable(await flushLsnOf(server));
    await server.query('INSERT INTO item SELECT 1');
    await first.durable(await flushLsnOf(server));
    await first.stop();
    const tail = (await onlyLineage(place.repository)).timelines.get(1)!.fragments.at(-1)!;
    await appendFile(join(place.path, tail.objectName), 'x');
    const repository = await reopenRepository(place.path);
    await using receiver = startReceiver({ ...place, repository, source: server.backupUrl, slot: 'holdfast_damaged' });
    const alarm = await receiver.seen('the damage', (event) => event.kind === 'alarm' && event.alarm === 'damaged');
    assert.equal((alarm as Extract<WalEvent, { alarm: 'damaged' }>).objectName, tail.objectName);
    await server.query('INSERT INTO item SELECT i FROM generate_series(1, 30000) i');
    const end = await flushLsnOf(server);
    await receiver.durable(end);
    await receiver.stop();
    const compared = await compareWithServer(repository, server, await onlyLineage(repository));
    assert.deepEqual({ runs: compared.runs, atEnd: compared.end >= end }, { runs: 1, atEnd: true });
    assert.equal(alarmsOf(receiver.events).length, 1);
  });
});

it('follows a promotion also in the place of a receiver that was killed with the server', async () => {
  await using server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
  const scratch = await makeScratchDirectory('wal-stream');
  try {
    const { path, stateDirectory, repository } = await makeRepository(scratch);
    const first = startReceiverProcess({ repositoryPath: path, stateDirectory, url: server.backupUrl });
    await server.query('CREATE TABLE item AS SELECT i FROM generate_series(1, 1000) i');
    await first.told('progress', 3);
    await first.kill9();
    await promoteInPlace(server);
    // Its last word is nearly as old as that of one that is gone, and not quite.
    const spoke = Date.now() / 1000 - STATUS_FRESH_MS / 1000 + 2;
    for await (const { name } of repository.store.list('volatile/status/'))
      await utimes(join(path, name), spoke, spoke);
    await using receiver = startReceiver({ repository, stateDirectory, source: server.backupUrl });
    const end = await flushLsnOf(server);
    await receiver.durable(end);
    await receiver.stop();
    const { runs, timeline } = describeContinuity(await onlyLineage(repository));
    assert.deepEqual([timeline, runs.length, runs[0]!.end >= end], [2, 1, true]);
    assert.deepEqual(alarmsOf(receiver.events), []);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

it('streams segments larger than what it would hold in memory', async () => {
  await using server = await startPostgres({ major: 18, walSegmentSizeMb: 128, settings });
  const scratch = await makeScratchDirectory('wal-stream');
  try {
    const place = await makeRepository(scratch);
    await using receiver = startReceiver({ ...place, source: server.backupUrl });
    await server.query('CREATE TABLE item AS SELECT i FROM generate_series(1, 10000) i');
    await server.query('SELECT pg_switch_wal()');
    await receiver.seen('the segment', (event) => event.kind === 'segment-stored');
    await server.query('INSERT INTO item VALUES (1)');
    await receiver.durable(await flushLsnOf(server));
    await receiver.stop();
    const compared = await compareWithServer(place.repository, server, await onlyLineage(place.repository));
    assert.equal(compared.segments, 2);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

function alarmsOf(events: readonly WalEvent[]): WalEvent[] {
  return events.filter((event) => event.kind === 'alarm');
}

function marksIn(events: readonly WalEvent[]): bigint[] {
  const marks = events.flatMap((event) => (event.kind === 'progress' ? (event.progress.knownUntil ?? []) : []));
  return [...new Set(marks)];
}

function isChild(fork: WalEvent, event: Extract<WalEvent, { kind: 'lineage' }>): boolean {
  return fork.kind === 'alarm' && fork.alarm === 'fork' && fork.child.lineage === event.place.lineage;
}

/** Writes rows until told to stop, one transaction after the other, and switches segments now and then. */
function startLoad(server: PostgresServer): { stop(): Promise<void> } {
  let stopped = false;
  const done = (async () => {
    for (let round = 0; !stopped; round++) {
      await server.query('INSERT INTO item SELECT i, md5(i::text) FROM generate_series(1, 500) i');
      if (round % 20 === 19) await server.query('SELECT pg_switch_wal()');
    }
  })();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

/** With owners and modes, as a snapshot of the volume would have them. */
async function copyDirectory(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to]);
}

async function systemOf(server: PostgresServer): Promise<{ systemId: string }> {
  const [row] = await server.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
  return { systemId: row!.id };
}

async function listWal(repository: Repository): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of repository.store.list('wal/')) names.push(name);
  return names;
}
