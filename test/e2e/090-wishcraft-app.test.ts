import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type RunningApp, startApp } from '../../examples/wishcraft/app.ts';
import { connect, createDatabase } from '../../examples/wishcraft/database.ts';
import { createLoad, type Load } from '../../examples/wishcraft/load.ts';
import { checkInvariants, divideWrites, verifyWrites } from '../../examples/wishcraft/verify-writes.ts';
import { writeKinds } from '../../examples/wishcraft/writes.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';

describe('the WishCraft application', () => {
  let server: PostgresServer;
  let app: RunningApp;
  let client: pg.Client;
  const loads: Load[] = [];

  before(async () => {
    server = await startPostgres({ major: 18 });
    await createDatabase(server.url);
    app = await startApp({ connectionString: server.url });
    client = await connect(server.url);
  });

  after(async () => {
    // A load bears every error, so that one which a failed test left behind would run for ever.
    for (const load of loads) await load.stop();
    await client?.end();
    await app?.stop();
    await server?.dispose();
  });

  const makeLoad = (writesPerSecond: number) => {
    const load = createLoad({ connectionString: () => server.url, writesPerSecond });
    loads.push(load);
    return load;
  };

  const get = (path: string, token?: string) =>
    fetch(`${app.url}${path}`, {
      redirect: 'manual',
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });

  it('answers on its four endpoints, two of them only to who holds the token', async () => {
    assert.deepEqual(await (await get('/health')).json(), { status: 'ok', database: 'reachable' });
    const performance = (await (await get('/performance')).json()) as { requests: { count: number } };
    assert.ok(performance.requests.count >= 1);
    const login = await get('/app');
    assert.equal(login.status, 302);
    assert.equal(login.headers.get('location'), '/auth/login');
    assert.match(await (await get('/app', app.token)).text(), /Registry \d+/);
    assert.equal((await get('/api/registry-db')).status, 401);
    assert.equal((await get('/api/registry-db', `${app.token.slice(0, -1)}x`)).status, 401);
    const deep = await get('/api/registry-db', app.token);
    assert.equal(deep.status, 200);
    assert.deepEqual(await deep.json(), { status: 'ok', registry: 'the-known-registry', items: 3 });
  });

  it('finds every acknowledged write of a load, and names exactly the one whose row is gone', async () => {
    const load = makeLoad(200);
    const { acknowledged, unknown, inFlight, rejected } = await runFor(load, 2_000);
    assert.deepEqual([unknown, inFlight], [[], []]);
    assert.deepEqual(
      [...rejected.keys()].filter((reason) => reason !== 'no-row'),
      [],
    );
    assert.deepEqual(new Set(acknowledged.map((write) => write.kind)), new Set(writeKinds));
    assert.equal(new Set(acknowledged.map((write) => write.number)).size, acknowledged.length);
    assert.deepEqual(await verifyWrites(client, acknowledged), {
      found: acknowledged.toSorted((a, b) => a.number - b.number),
      missing: [],
      altered: [],
    });
    assert.deepEqual(await checkInvariants(client), []);

    const [lost, changed] = acknowledged.filter((write) => write.kind === 'purchase-made');
    assert.ok(lost && changed);
    await client.query('DELETE FROM purchases WHERE write_number = $1', [lost.number]);
    await client.query(`UPDATE purchases SET order_reference = 'other' WHERE write_number = $1`, [changed.number]);
    const verification = await verifyWrites(client, acknowledged);
    assert.deepEqual(verification.missing, [lost]);
    assert.deepEqual(verification.altered, [changed]);
    assert.equal(verification.found.length, acknowledged.length - 2);
    const broken = await checkInvariants(client);
    assert.deepEqual(broken, ['an item has been purchased as often as its purchases say: 1 breaches']);
  });

  it('goes on through a crash of the server, and counts as acknowledged nothing that the crash took', async () => {
    const load = makeLoad(400);
    await load.start();
    await eventually(() => load.report().acknowledged.length > 50);
    await server.kill9();
    const atCrash = load.report().acknowledged.length;
    const down = await get('/api/registry-db', app.token);
    assert.equal(down.status, 503);
    await server.restart();
    await eventually(() => load.report().acknowledged.length > atCrash + 50);
    const { acknowledged, unknown, reconnects } = await load.stop();
    assert.ok(reconnects >= 4, `4 connections broke, ${reconnects} were made again`);
    client = await connect(server.url);
    assert.deepEqual((await verifyWrites(client, acknowledged)).missing, []);
    const unanswered = await verifyWrites(client, unknown);
    assert.deepEqual(unanswered.altered, []);
    assert.equal((await get('/api/registry-db', app.token)).status, 200);
  });

  it('goes on when its registries are dropped, and divides its writes at the position of the drop', async () => {
    const load = makeLoad(400);
    await load.start();
    await eventually(() => load.report().acknowledged.length > 50);
    const askedAtMs = performance.now();
    const position = await readPosition(client);
    const answeredAtMs = performance.now();
    // Locked first, in the order of the load's own statements: otherwise the server may have to end one of the two.
    await client.query(
      'BEGIN; LOCK TABLE items, purchases, registries IN ACCESS EXCLUSIVE MODE; DROP TABLE registries CASCADE; COMMIT',
    );
    const atDrop = load.report().acknowledged.length;
    await eventually(() => load.report().acknowledged.length > atDrop + 50);
    assert.ok((load.report().rejected.get('42P01') ?? 0) > 5);
    const { acknowledged } = await load.stop();
    const { before, after, undecided } = divideWrites(acknowledged, position);
    assert.ok(before.length > 10 && after.length > 10);
    for (const write of after) assert.ok(write.acknowledgedAtMonotonicMs > askedAtMs);
    for (const write of before) assert.ok(write.startedAtMonotonicMs < answeredAtMs);
    assert.ok(undecided.length <= 4, 'one write of each connection at most can be under way at a position');
    const registryKinds = ['registry-created', 'registry-edited'];
    const { missing } = await verifyWrites(client, acknowledged);
    assert.deepEqual(
      missing,
      acknowledged.filter((write) => registryKinds.includes(write.kind)).toSorted((a, b) => a.number - b.number),
    );
    assert.equal((await get('/health')).status, 200);
    assert.equal((await get('/app', app.token)).status, 503);
    assert.equal((await get('/api/registry-db', app.token)).status, 503);
  });
});

async function runFor(load: Load, ms: number) {
  await load.start();
  await delay(ms);
  // A machine that is busy with other things may not have come to every kind by now.
  await eventually(() => {
    const { acknowledged } = load.report();
    return writeKinds.every((kind) => acknowledged.filter((write) => write.kind === kind).length >= 2);
  });
  return await load.stop();
}

async function readPosition(client: pg.Client): Promise<bigint> {
  const { rows } = await client.query(`SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS position`);
  return BigInt(rows[0].position);
}

/** Fails the test after a minute, which no server of these tests has ever taken. */
async function eventually(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`waited in vain for: ${condition}`);
    await delay(20);
  }
}
