import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
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
  how: { protect: 'writes' | 'wal'; withCopy: boolean },
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
  const repository = await openRepository({ store, credential: testCredential, access: 'write', clock: systemClock });
  const receiver = startReceiver({
    ...{ repository, stateDirectory, cluster, source: server.backupSocketUrl, flushIntervalMs: 50 },
    outage: { spool, protect: how.protect },
  });
  return {
    spool,
    receiver,
    async [Symbol.asyncDispose]() {
      await receiver.stop();
      await repository.close();
      await copied?.close();
      await spool.close();
    },
  };
}

/** Writes, and gives the position up to which everything has to be. */
async function write(): Promise<bigint> {
  await server.query('INSERT INTO item SELECT generate_series(1, 1000)');
  return flushLsnOf(server);
}

function confirmed(receiver: RunningReceiver, lsn: bigint) {
  return receiver.seen('a confirmation', (event) => event.kind === 'flush-reported' && event.lsn >= lsn);
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
    for (let i = 0; i < 200 && (await protection.spool.state()).objects > 0; i++) await systemClock.sleep(50);
    const [id] = readdirSync(world.spoolDirectory);
    assert.deepEqual(await namesIn(openDiskStore(join(world.spoolDirectory, id!))), []);
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
});
