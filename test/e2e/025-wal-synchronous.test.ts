import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { systemClock } from '../../src/lib/index.ts';
import { contiguousEndIn, readWalInventory, scanWal, type WalEvent } from '../../src/protect/wal/index.ts';
import type { Repository } from '../../src/repository/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { onlyLineage, type RunningReceiver, startReceiver, startReceiverProcess } from '../support/wal-receiver.ts';

for (const major of [18, 14] as const) {
  describe(`PostgreSQL ${major}: a receiver for which commits wait`, () => {
    let server: PostgresServer;
    let scratch: string;
    before(async () => {
      scratch = await makeScratchDirectory('wal-synchronous');
      server = await startPostgres({ major, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
      await server.query('CREATE TABLE item (i int)');
    });
    after(async () => {
      await server.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    it('has each of 200 commits in the repository at the moment at which it returns', async () => {
      const place = await makeRepository(scratch, `each-${major}`);
      await using receiver = startReceiver({ ...place, source: server.backupUrl, slot: 'holdfast_each' });
      await setSynchronousNames(server, 'holdfast_main');
      await synchronous(receiver);
      const acknowledged = await commitOneByOne(server, 200, () => durableEnd(place.repository));
      await setSynchronousNames(server, '');
      await receiver.stop();
      assert.equal(acknowledged.length, 200);
      const missing = await findMissing(place.repository, acknowledged);
      assert.deepEqual(missing, []);
    });

    it('lets commits of many sessions return together', async () => {
      const place = await makeRepository(scratch, `many-${major}`);
      await using receiver = startReceiver({ ...place, source: server.backupUrl, slot: 'holdfast_many' });
      await setSynchronousNames(server, 'ANY 1 ("holdfast_main", nobody)');
      await synchronous(receiver);
      const sessions = Array.from({ length: 8 }, () => commitOneByOne(server, 25, () => durableEnd(place.repository)));
      const acknowledged = (await Promise.all(sessions)).flat();
      await setSynchronousNames(server, '');
      await receiver.stop();
      assert.equal(acknowledged.length, 200);
      assert.deepEqual(await findMissing(place.repository, acknowledged), []);
    });

    it('lets a waiting commit return after kill -9 and a new start', async () => {
      const place = await makeRepository(scratch, `killed-${major}`);
      const options = { repositoryPath: place.path, stateDirectory: place.stateDirectory, url: server.backupUrl };
      const first = startReceiverProcess(options);
      await first.told('flush-reported', 2);
      await setSynchronousNames(server, 'holdfast_main');
      await commitOneByOne(server, 5, async () => 0n);
      await first.kill9();
      let returned = false;
      const waiting = commitOneByOne(server, 1, async () => 0n).finally(() => {
        returned = true;
      });
      await systemClock.sleep(300);
      assert.equal(returned, false, 'nothing is acknowledged while nobody stores it');
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      const acknowledged = await waiting;
      acknowledged[0]!.durable = await durableEnd(place.repository);
      await setSynchronousNames(server, '');
      await receiver.stop();
      assert.deepEqual(await findMissing(place.repository, acknowledged), []);
    });
  });
}

describe('a receiver that the server may choose', () => {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('wal-synchronous');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    await server.query('CREATE TABLE item (i int)');
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  it('stores at once and raises an alarm when "*" made it synchronous', async () => {
    const place = await makeRepository(scratch, 'wildcard');
    // So rarely that a commit that waited for the interval would be noticed.
    const flushIntervalMs = 3_600_000;
    await using receiver = startReceiver({ ...place, source: server.backupUrl, flushIntervalMs });
    await asynchronous(receiver);
    await setSynchronousNames(server, '*');
    await receiver.seen('the alarm', ({ kind, ...event }) => kind === 'alarm' && isWildcard(event));
    const acknowledged = await commitOneByOne(server, 20, () => durableEnd(place.repository));
    await setSynchronousNames(server, '');
    await receiver.seen(
      'the end of it',
      (event) => event.kind === 'recovered' && event.alarm === 'synchronous-by-wildcard',
    );
    await receiver.stop();
    assert.deepEqual(await findMissing(place.repository, acknowledged), []);
  });

  it('goes by the setting when its role may not see who is synchronous', async () => {
    await server.query('REVOKE pg_monitor FROM backup');
    try {
      const place = await makeRepository(scratch, 'blind');
      await using receiver = startReceiver({ ...place, source: server.backupUrl, flushIntervalMs: 3_600_000 });
      await asynchronous(receiver);
      await setSynchronousNames(server, 'FIRST 1 (HOLDFAST_MAIN, other)');
      await synchronous(receiver);
      const acknowledged = await commitOneByOne(server, 20, () => durableEnd(place.repository));
      await setSynchronousNames(server, '');
      await receiver.stop();
      assert.deepEqual(await findMissing(place.repository, acknowledged), []);
    } finally {
      await server.query('GRANT pg_monitor TO backup');
    }
  });

  it('goes by the setting when it is let in for replication only', async () => {
    await server.query('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
    try {
      const place = await makeRepository(scratch, 'replication-only');
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      await asynchronous(receiver);
      await receiver.seen(
        'how far all is known',
        (event) => event.kind === 'progress' && event.progress.knownUntil !== null,
      );
      await setSynchronousNames(server, 'holdfast_main');
      await synchronous(receiver);
      const acknowledged = await commitOneByOne(server, 20, () => durableEnd(place.repository));
      await setSynchronousNames(server, '');
      await receiver.stop();
      assert.deepEqual(await findMissing(place.repository, acknowledged), []);
    } finally {
      await server.query('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
    }
  });
});

/** A commit that returned, and how far WAL was stored when it did. */
interface Acknowledged {
  xid: number;
  durable: bigint;
}

/** Commits rows over one session; each time a commit returns, `durable` is asked before anything else is done. */
async function commitOneByOne(
  server: PostgresServer,
  count: number,
  durable: () => Promise<bigint>,
): Promise<Acknowledged[]> {
  const client = new pg.Client({ connectionString: server.socketUrl });
  await client.connect();
  const acknowledged: Acknowledged[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const { rows } = await client.query<{ xid: string }>(
        `INSERT INTO item VALUES (${i}) RETURNING pg_current_xact_id() AS xid`,
      );
      acknowledged.push({ xid: Number(rows[0]!.xid), durable: await durable() });
    }
  } finally {
    await client.end();
  }
  return acknowledged;
}

/** Those whose commit record ends behind what was stored when they returned, or cannot be found at all. */
async function findMissing(repository: Repository, acknowledged: readonly Acknowledged[]): Promise<Acknowledged[]> {
  const lineage = await onlyLineage(repository);
  const inventory = await readWalInventory(repository);
  const range = { lineage: lineage.lineage, timeline: 1, from: lineage.header.startLsn, to: 1n << 64n };
  const commits = new Map<number, bigint>();
  for await (const landmark of scanWal(repository, inventory, range)) {
    if (landmark.kind !== 'transaction' || landmark.transaction.outcome !== 'commit') continue;
    commits.set(landmark.transaction.xid, landmark.endLsn);
  }
  return acknowledged.filter(({ xid, durable }) => (commits.get(xid) ?? 1n << 64n) > durable);
}

async function durableEnd(repository: Repository): Promise<bigint> {
  const lineage = await onlyLineage(repository);
  return contiguousEndIn(lineage, 1, lineage.header.startLsn);
}

async function setSynchronousNames(server: PostgresServer, names: string): Promise<void> {
  // Without waiting: turning it off must not need what it turns off.
  await server
    .query(`SET synchronous_commit = local; ALTER SYSTEM SET synchronous_standby_names = '${names}'`)
    .catch(async () => {
      await server.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    });
  await server.query('SELECT pg_reload_conf()');
}

async function synchronous(receiver: RunningReceiver): Promise<void> {
  const from = receiver.events.length;
  await receiver.seen('synchronous', (event) => receiver.events.indexOf(event) >= from && isProgress(event, true));
}

async function asynchronous(receiver: RunningReceiver): Promise<void> {
  await receiver.seen('asynchronous', (event) => isProgress(event, false));
}

function isProgress(event: WalEvent, synchronous: boolean): boolean {
  return event.kind === 'progress' && event.progress.synchronous === synchronous;
}

function isWildcard(event: object): boolean {
  return 'alarm' in event && event.alarm === 'synchronous-by-wildcard';
}
