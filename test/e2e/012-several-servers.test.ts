import assert from 'node:assert/strict';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { type ConnectionTarget, type ConnectOptions, connect } from '../../src/postgres/index.ts';
import { contiguousEndIn, newestTimeline, type WalEvent } from '../../src/protect/wal/index.ts';
import { takePlainBackup } from '../support/plain-backup.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf, onlyLineage, startReceiver } from '../support/wal-receiver.ts';

/** A port at which nobody listens. */
const DEAD_PORT = 1;

/** Which of the servers a list leads to. */
async function portReached(target: ConnectionTarget, options: ConnectOptions = {}): Promise<number> {
  const connection = await connect(target, options);
  await connection.close();
  return connection.target.port;
}

describe('a list of servers', () => {
  let scratch: string;
  let primary: PostgresServer;
  let standby: PostgresServer;
  before(async () => {
    scratch = await makeScratchDirectory('several-servers');
    primary = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    const dataDirectory = join(scratch, 'standby');
    const connection = await connect(targetOf(primary.backupUrl), { replication: 'physical' });
    await takePlainBackup(connection, dataDirectory);
    await connection.close();
    await writeFile(join(dataDirectory, 'standby.signal'), '');
    await appendFile(join(dataDirectory, 'postgresql.auto.conf'), `primary_conninfo = '${primary.socketUrl}'\n`);
    standby = await startPostgres({ major: 18, dataDirectory, settings: { hot_standby: 'on' } });
  });
  after(async () => {
    await standby?.dispose();
    await primary?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** All servers of one machine, as the role that backs up. */
  const list = (ports: readonly number[], words = ''): ConnectionTarget => {
    const hosts = ports.map(() => '127.0.0.1').join(',');
    const password = targetOf(primary.backupUrl).revealPassword();
    return targetOf(`host=${hosts} port=${ports.join(',')} user=backup password=${password} dbname=postgres ${words}`);
  };
  const wanting = (attributes: string, ...ports: number[]) => list(ports, `target_session_attrs=${attributes}`);

  it('leads to the first that is of the wanted kind, over SQL and over replication', async () => {
    const both = [primary.port, standby.port];
    const expected: [string, number, number][] = [
      ['any', primary.port, standby.port],
      ['primary', primary.port, primary.port],
      ['read-write', primary.port, primary.port],
      ['standby', standby.port, standby.port],
      ['read-only', standby.port, standby.port],
      ['prefer-standby', standby.port, standby.port],
    ];
    for (const replication of ['off', 'physical', 'logical'] as const) {
      for (const [attributes, inOrder, reversed] of expected) {
        const label = `${attributes} ${replication}`;
        assert.equal(await portReached(wanting(attributes, ...both), { replication }), inOrder, label);
        assert.equal(await portReached(wanting(attributes, ...both.toReversed()), { replication }), reversed, label);
      }
      assert.equal(await portReached(wanting('prefer-standby', primary.port), { replication }), primary.port);
    }
  });

  it('takes a primary that lets nobody write for one that is read-only', async () => {
    await primary.query("ALTER ROLE backup SET default_transaction_read_only = 'on'");
    try {
      assert.equal(await portReached(wanting('read-only', primary.port)), primary.port);
      await assert.rejects(portReached(wanting('read-write', primary.port)), {
        code: 'PG_SERVER_ROLE_WRONG',
        message: /a primary whose sessions are read-only/,
      });
      // What is set for a role does not count for a session of replication.
      assert.equal(await portReached(wanting('read-write', primary.port), { replication: 'physical' }), primary.port);
    } finally {
      await primary.query('ALTER ROLE backup RESET default_transaction_read_only');
    }
  });

  it('is gone through past servers and addresses where nobody is', async () => {
    assert.equal(await portReached(list([DEAD_PORT, standby.port])), standby.port);
    const named = list([primary.port]).at({ host: 'moving.example', port: primary.port });
    const addresses = { resolveHost: async () => ['127.0.0.2', '127.0.0.3', '127.0.0.1'] };
    const connection = await connect(named, addresses);
    assert.deepEqual(connection.target.servers, [
      { host: 'moving.example', hostAddress: '127.0.0.1', port: primary.port },
    ]);
    // A cancel request, and any further connection, meets the same address without a look-up.
    await connection.cancel();
    assert.equal(await portReached(connection.target), primary.port);
    await connection.close();
  });

  it('that holds no fitting server tells the reason of each', async () => {
    await assert.rejects(portReached(wanting('primary', DEAD_PORT, standby.port)), {
      code: 'PG_NO_SERVER_FOUND',
      message: `could not connect to any of the servers "127.0.0.1:1", "127.0.0.1:${standby.port}"`,
      detail: /ECONNREFUSED.*Could not use server "127\.0\.0\.1:[0-9]+": it is a standby\. .*asks for "primary"/,
      retryable: true,
    });
    await assert.rejects(portReached(list([DEAD_PORT, DEAD_PORT + 1])), { code: 'PG_CONNECTION_REFUSED' });
    await assert.rejects(portReached(wanting('primary', standby.port)), {
      code: 'PG_SERVER_ROLE_WRONG',
      retryable: true,
    });
  });

  it('ends at a server that refuses the login, with what was tried before', async () => {
    const wrong = list([DEAD_PORT, primary.port, standby.port]).with({ password: 'wrong' });
    await assert.rejects(portReached(wrong), {
      code: 'PG_AUTHENTICATION_FAILED',
      sqlState: '28P01',
      detail: /password authentication failed.*Before: Could not connect to server "127\.0\.0\.1:1"/,
    });
  });

  it('is gone through in another order each time when the load is to be spread', async () => {
    const spread = list([primary.port, standby.port], 'load_balance_hosts=random');
    const reached = new Set<number>();
    // Forty times the same one is less likely than a fault of this machine.
    for (let attempt = 0; attempt < 40 && reached.size < 2; attempt++) reached.add(await portReached(spread));
    assert.equal(reached.size, 2);
  });

  it('is gone through anew when the stream of WAL breaks, so that it follows a failover', async () => {
    const place = await makeRepository(scratch, 'failover');
    await using receiver = startReceiver({ ...place, source: wanting('primary', primary.port, standby.port) });
    await primary.query('CREATE TABLE item (i int)');
    const before = await flushLsnOf(primary);
    await receiver.durable(before);
    const replayed = () =>
      standby.query<{ done: boolean }>(`SELECT pg_last_wal_replay_lsn() - '0/0' >= ${before} AS done`);
    while (!(await replayed())[0]!.done) await systemClock.sleep(20);
    await primary.stop('immediate');
    await standby.query('SELECT pg_promote()');
    await standby.query('INSERT INTO item VALUES (1)');
    const end = await flushLsnOf(standby);
    await receiver.durable(end);
    await receiver.stop();
    const lineage = await onlyLineage(place.repository);
    assert.equal(newestTimeline(lineage), 2);
    assert.ok(contiguousEndIn(lineage, 2, end) >= end);
  });
});

/** Passes each new connection on to where `port` says at that moment, as a moving address does. */
async function startMovingAddress(first: number) {
  const sockets = new Set<Socket>();
  const address = { port: 0, behind: first, connections: 0 };
  const server = createServer((client) => {
    address.connections += 1;
    const behind = connectSocket(address.behind, '127.0.0.1');
    for (const [from, to] of [
      [client, behind],
      [behind, client],
    ] as const) {
      sockets.add(from);
      // Either side may break off; the other one then ends, too.
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  address.port = (server.address() as AddressInfo).port;
  return Object.assign(address, {
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((done) => server.close(() => done()));
    },
  });
}

type ProgressEvent = Extract<WalEvent, { kind: 'progress' }>;
const isReport = (event: WalEvent): event is ProgressEvent =>
  event.kind === 'progress' && event.progress.synchronous !== null;

it('a receiver does not believe another server behind the same address', async () => {
  const scratch = await makeScratchDirectory('moving-address');
  try {
    await using server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    await using stranger = await startPostgres({ major: 18 });
    await using address = await startMovingAddress(server.port);
    const place = await makeRepository(scratch);
    const source = targetOf(server.backupUrl).at({ host: '127.0.0.1', port: address.port });
    await using receiver = startReceiver({
      ...place,
      source,
      onEvent: (event) => {
        // Once it knows whose WAL it streams, whatever else is opened meets the other server.
        if (event.kind === 'lineage') address.behind = stranger.port;
      },
    });
    await receiver.seen('the stream', (event) => event.kind === 'lineage');
    while (address.connections < 2) await systemClock.sleep(20);
    await server.query('CREATE TABLE item (i int)');
    await receiver.durable(await flushLsnOf(server));
    assert.deepEqual(receiver.events.filter(isReport), [], 'no word of the stranger counts');
    address.behind = server.port;
    await receiver.seen('the word of the right one', isReport);
    await receiver.stop();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

it('a receiver says so when another system answers under the name of the cluster', async () => {
  const scratch = await makeScratchDirectory('other-system');
  try {
    await using first = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    await using second = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    const place = await makeRepository(scratch);
    for (const server of [first, second]) {
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      await receiver.durable(await flushLsnOf(server));
      await receiver.stop();
      const alarms = receiver.events.filter((event) => event.kind === 'alarm');
      assert.deepEqual(
        alarms.map(({ error }) => error.code),
        server === first ? [] : ['WAL_OTHER_SYSTEM'],
      );
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
