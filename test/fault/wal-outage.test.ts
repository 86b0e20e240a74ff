import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HoldfastError, systemClock } from '../../src/lib/index.ts';
import { contiguousEnd, readWalInventory, type WalEvent } from '../../src/protect/wal/index.ts';
import { minLsn } from '../../src/protect/wal/lsn-ranges.ts';
import { fragmentObjectName, parseWalObjectName } from '../../src/protect/wal/object-names.ts';
import {
  type CopiedStore,
  initRepository,
  openCopiedStore,
  openDiskStore,
  openRepository,
  type Repository,
  SpooledStore,
} from '../../src/repository/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { type CuttablePlace, cuttablePlace, namesIn } from '../support/several-places.ts';
import { flushLsnOf, type RunningReceiver, startReceiver } from '../support/wal-receiver.ts';

let server: PostgresServer;
let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('wal-outage');
  server = await startPostgres({ major: 18 });
  await server.query('CREATE TABLE item (n int)');
});
after(async () => {
  await server.dispose();
  await rm(scratch, { recursive: true, force: true });
});

interface World {
  readonly primary: CuttablePlace;
  readonly copy: CuttablePlace;
  readonly spoolDirectory: string;
  readonly stateDirectory: string;
}

async function makeWorld(name: string): Promise<World> {
  const primary = cuttablePlace('primary', { inner: openDiskStore(join(scratch, name, 'primary')) });
  const copy = cuttablePlace('copy', { inner: openDiskStore(join(scratch, name, 'copy')), required: true });
  const stateDirectory = join(scratch, name, 'state');
  mkdirSync(stateDirectory, { recursive: true });
  await copy.inner.createPlace?.();
  const repository = await initRepository({ store: primary.inner, credential: testCredential, clock: systemClock });
  await repository.close();
  return { primary, copy, stateDirectory, spoolDirectory: join(stateDirectory, 'outage') };
}

interface Protection extends AsyncDisposable {
  readonly spool: SpooledStore;
  readonly receiver: RunningReceiver;
}

async function protect(
  world: World,
  cluster: string,
  how: { protect: 'writes' | 'wal'; withCopy: boolean; isAway?: boolean },
): Promise<Protection> {
  const { primary, copy, spoolDirectory, stateDirectory } = world;
  const spool = new SpooledStore({
    ...{ primary: primary.store, directory: spoolDirectory, clock: systemClock },
    budgetBytes: 1 << 30,
  });
  const copied: CopiedStore | null = how.withCopy
    ? openCopiedStore({ primary: spool, copies: [copy], clock: systemClock, access: 'write' })
    : null;
  const store = copied ?? spool;
  const roots = how.isAway === true ? copied!.standIn! : null;
  if (roots !== null)
    await spool.beginAway(await roots.formatOfCopies(), new HoldfastError('STORE_UNAVAILABLE', 'cut'));
  const repository = await openRepository({
    ...{ store, credential: testCredential, access: 'write', clock: systemClock },
    ...(roots === null ? {} : { roots }),
  });
  const receiver = startReceiver({
    ...{ repository, stateDirectory, cluster, source: server.backupSocketUrl, flushIntervalMs: 50 },
    outage: { spool, protect: how.protect, standIn: copied?.standIn ?? null },
  });
  return {
    spool,
    receiver,
    async [Symbol.asyncDispose]() {
      await receiver[Symbol.asyncDispose]();
      await repository.close();
      await copied?.close();
      await spool.close();
    },
  };
}

/** Breaks the receiver's connection, so that it has to make another one. */
async function breakLink(): Promise<void> {
  await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
}

const isAlarm = (code: string) => (event: WalEvent) => event.kind === 'alarm' && event.error.code === code;

const isUnsafe = (detail: RegExp) => (event: WalEvent) =>
  event.kind === 'alarm' && event.error.code === 'WAL_OUTAGE_UNSAFE' && detail.test(event.error.detail ?? '');

/** Writes, and gives the position up to which everything has to be. */
async function write(): Promise<bigint> {
  await server.query('INSERT INTO item SELECT generate_series(1, 1000)');
  return flushLsnOf(server);
}

function confirmed(receiver: RunningReceiver, lsn: bigint) {
  return receiver.seen('a confirmation', (event) => event.kind === 'flush-reported' && event.lsn >= lsn);
}

/** Where the WAL begins that waits here: a server writes some of its own accord, which may have come before the primary was cut. */
function firstWaiting({ onlyHere }: SpooledStore): bigint {
  const parsed = onlyHere.map((name) => parseWalObjectName(name));
  const starts = parsed.flatMap((name) => (name?.kind === 'fragment' ? [name.fragment.start] : []));
  return starts.reduce(minLsn);
}

function lastConfirmed({ events }: RunningReceiver): bigint {
  return events.reduce((last, event) => (event.kind === 'flush-reported' ? event.lsn : last), 0n);
}

/** How far the WAL goes that lies in one place, without what came from elsewhere. */
async function storedIn(place: CuttablePlace): Promise<bigint> {
  const repository: Repository = await openRepository({
    ...{ store: place.inner, credential: testCredential, access: 'read' as const, clock: systemClock },
  });
  const [lineage] = (await readWalInventory(repository)).lineages;
  await repository.close();
  assert.ok(lineage !== undefined);
  return contiguousEnd({ lineages: [lineage], damaged: [] }, lineage.lineage, 1, lineage.header.startLsn);
}

describe('while the primary is away', () => {
  it('WAL goes on here and is confirmed where the plan protects writes; after a kill it is handed over, whole', async () => {
    const world = await makeWorld('writes');
    let end: bigint;
    {
      await using protection = await protect(world, 'writes', { protect: 'writes', withCopy: false });
      const { receiver, spool } = protection;
      await receiver.durable(await write());
      world.primary.isCut = true;
      await server.query('SELECT pg_switch_wal()');
      end = await write();
      await confirmed(receiver, end);
      await receiver.seen('facts', (event) => event.kind === 'spool' && event.state.awaySince !== null);
      assert.ok(receiver.events.some((event) => event.kind === 'alarm' && event.error.code === 'WAL_PRIMARY_AWAY'));
      const last = receiver.events.findLast((event) => event.kind === 'progress');
      assert.ok(last?.kind === 'progress' && last.progress.durableLsn < end && last.progress.durableHereLsn >= end);
      assert.ok((await spool.state()).objects > 0);
    }
    // The primary never heard of it, and the process is gone.
    assert.ok((await storedIn(world.primary)) < end);
    world.primary.isCut = false;
    await using protection = await protect(world, 'writes', { protect: 'writes', withCopy: false });
    await protection.receiver.durable(end);
    const [id] = readdirSync(world.spoolDirectory);
    const namesHere = () => namesIn(openDiskStore(join(world.spoolDirectory, id!)));
    // What is made of a segment comes later than its bytes, and waits behind what is still being handed over.
    let waiting = await namesHere();
    for (let i = 0; i < 200 && waiting.length > 0; i++) {
      await systemClock.sleep(50);
      waiting = await namesHere();
    }
    assert.deepEqual(waiting, []);
    assert.ok((await storedIn(world.primary)) >= end);
  });

  it('WAL is confirmed by what a required copy has, and by nothing less, where the plan protects the WAL', async () => {
    const world = await makeWorld('wal');
    await using protection = await protect(world, 'wal', { protect: 'wal', withCopy: true });
    const { receiver } = protection;
    const before = await write();
    await receiver.durable(before);
    for (let i = 0; i < 200 && (await storedIn(world.copy).catch(() => 0n)) < before; i++) await systemClock.sleep(50);
    world.primary.isCut = true;
    const first = await write();
    await confirmed(receiver, first);
    assert.ok((await storedIn(world.copy)) >= first);
    world.copy.isCut = true;
    const second = await write();
    await receiver.seen(
      'WAL that is durable here alone',
      (event) => event.kind === 'progress' && event.progress.durableHereLsn >= second,
    );
    await systemClock.sleep(500);
    assert.ok(lastConfirmed(receiver) < second, 'nothing is confirmed that this machine alone holds');
    world.primary.isCut = false;
    world.copy.isCut = false;
    await confirmed(receiver, second);
    await receiver.durable(second);
  });

  it('it connects again by what a copy has, and compares with the primary when that is back', async () => {
    const world = await makeWorld('again');
    await using protection = await protect(world, 'again', { protect: 'wal', withCopy: true });
    const { receiver, spool } = protection;
    const before = await write();
    await receiver.durable(before);
    for (let i = 0; i < 200 && (await storedIn(world.copy).catch(() => 0n)) < before; i++) await systemClock.sleep(50);
    world.primary.isCut = true;
    await confirmed(receiver, await write());
    await breakLink();
    await confirmed(receiver, await write());
    await server.query('SELECT pg_switch_wal()');
    const last = await write();
    await confirmed(receiver, last);
    // Where no copy answers nothing can be proved, and it is tried again.
    world.copy.isCut = true;
    await breakLink();
    await receiver.seen('a refusal, or a place to wait for', (event) => event.kind === 'reconnect');
    const meanwhile = await write();
    await systemClock.sleep(1000);
    assert.ok(lastConfirmed(receiver) < meanwhile);
    world.copy.isCut = false;
    await confirmed(receiver, meanwhile);
    world.primary.isCut = false;
    await receiver.seen(
      'a new beginning with the primary',
      (event) => event.kind === 'reconnect' && event.error.code === 'WAL_PRIMARY_BACK',
    );
    const end = await write();
    await receiver.durable(end);
    for (let i = 0; i < 200 && (await spool.state()).objects > 0; i++) await systemClock.sleep(50);
    assert.ok((await storedIn(world.primary)) >= end);
    assert.deepEqual(
      receiver.events.filter((event) => event.kind === 'alarm' && event.alarm === 'gap'),
      [],
    );
  });

  it('it begins in nothing that was not followed from here before, and goes on when the primary is back', async () => {
    const world = await makeWorld('unknown');
    let end: bigint;
    {
      await using protection = await protect(world, 'unknown', { protect: 'writes', withCopy: true });
      end = await write();
      await protection.receiver.durable(end);
      for (let i = 0; i < 200 && (await storedIn(world.copy).catch(() => 0n)) < end; i++) await systemClock.sleep(50);
    }
    world.primary.isCut = true;
    const elsewhere = join(scratch, 'unknown', 'elsewhere');
    mkdirSync(elsewhere);
    const moved = { ...world, stateDirectory: elsewhere, spoolDirectory: join(elsewhere, 'outage') };
    await using protection = await protect(moved, 'unknown', { protect: 'writes', withCopy: true, isAway: true });
    const { receiver } = protection;
    await receiver.seen('a refusal', isUnsafe(/found none: the primary may have a newer one/));
    const last = await write();
    assert.equal(lastConfirmed(receiver), 0n);
    world.primary.isCut = false;
    await receiver.durable(last);
    assert.ok((await storedIn(world.primary)) >= last);
    assert.ok(receiver.events.some((event) => event.kind === 'recovered' && event.alarm === 'store-away'));
  });

  it('WAL that another server brought there meanwhile is found, mixed with nothing, and both are kept', async () => {
    const world = await makeWorld('other');
    await using protection = await protect(world, 'other', { protect: 'writes', withCopy: false });
    const { receiver, spool } = protection;
    await receiver.durable(await write());
    world.primary.isCut = true;
    await confirmed(receiver, await write());
    const fork = firstWaiting(spool);
    // As a receiver of another copy of the server would, whose line to the primary is whole.
    const elsewhere = await openRepository({
      ...{ store: world.primary.inner, credential: testCredential, access: 'write' as const, clock: systemClock },
    });
    const [before] = (await readWalInventory(elsewhere)).lineages;
    const range = { timeline: 1, start: fork, end: fork + 4096n, receiver: 'f'.repeat(16) };
    await elsewhere.putBody('wal-fragment', fragmentObjectName(before!, range), randomBytes(4096));
    const names = await namesIn(world.primary.inner, `wal/${before!.system}/${before!.lineage}/`);
    world.primary.isCut = false;
    await receiver.seen('the contradiction', isAlarm('WAL_SPOOL_DIFFERS'));
    const end = await write();
    await receiver.seen('a lineage of its own', (event) => event.kind === 'alarm' && event.alarm === 'fork');
    await receiver.durable(end);
    assert.deepEqual(await namesIn(world.primary.inner, `wal/${before!.system}/${before!.lineage}/`), names);
    assert.ok((await spool.state()).objects > 0, 'what was contradicted is kept');
    const { lineages } = await readWalInventory(elsewhere);
    await elsewhere.close();
    const child = lineages.find(({ header }) => header.parent?.lineage === before!.lineage);
    assert.ok(child !== undefined && contiguousEnd({ lineages, damaged: [] }, child.lineage, 1, fork) >= end);
  });

  it('a sync that fails while WAL is handed over ends the receiver, and the next one hands it over', async () => {
    const world = await makeWorld('sync');
    const { putIfAbsent, putFileIfAbsent } = world.primary.inner;
    let end: bigint;
    {
      await using protection = await protect(world, 'sync', { protect: 'writes', withCopy: false });
      const { receiver } = protection;
      await receiver.durable(await write());
      world.primary.isCut = true;
      end = await write();
      await confirmed(receiver, end);
      const refuse = async () => {
        throw new HoldfastError('STORE_SYNC_FAILED', 'cannot write: the disk did not make it durable');
      };
      Object.assign(world.primary.inner, { putIfAbsent: refuse, putFileIfAbsent: refuse });
      world.primary.isCut = false;
      await receiver.seen('its end', (event) => event.kind === 'state' && event.state === 'failed');
      await assert.rejects(receiver.ended, { code: 'STORE_SYNC_FAILED' });
    }
    Object.assign(world.primary.inner, { putIfAbsent, putFileIfAbsent });
    await using protection = await protect(world, 'sync', { protect: 'writes', withCopy: false });
    await protection.receiver.durable(end);
    assert.ok((await storedIn(world.primary)) >= end);
  });
});
