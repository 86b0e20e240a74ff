import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { healRepository, verifySnapshots } from '../../src/prove/index.ts';
import {
  type CopyEvent,
  compareCopies,
  healObject,
  initRepository,
  type ObjectStore,
  openCopiedStore,
  openDiskStore,
  openRepository,
  type Repository,
} from '../../src/repository/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { targetOf, testCredential } from '../support/repository.ts';
import { readRestoredFiles } from '../support/restored-files.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { cuttablePlace, namesIn, objectsOf } from '../support/several-places.ts';
import { storeWith } from '../support/store-with.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

let server: PostgresServer;
let scratch: string;
/** A primary and a copy on two disks, with a backup that was committed once both had it. */
let origin: { primary: string; copy: string };
let truth: Map<string, Buffer>;

before(async () => {
  scratch = await makeScratchDirectory('copies');
  server = await startPostgres({ major: 18 });
  await server.query('CREATE TABLE item AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i');
  origin = { primary: join(scratch, 'primary'), copy: join(scratch, 'copy') };
  mkdirSync(origin.copy);
  const { repository, close } = await create(origin);
  await backUp(repository, 'first');
  await close();
  truth = readFiles(await restore(openDiskStore(origin.primary), 'truth'));
});
after(async () => {
  await server.dispose();
  await rm(scratch, { recursive: true, force: true });
});

async function create(where: { primary: string; copy: string }) {
  const copies = [{ name: 'copy', store: openDiskStore(where.copy), required: true }];
  const store = openCopiedStore({ primary: openDiskStore(where.primary), copies, clock: systemClock, access: 'write' });
  const repository = await initRepository({ store, credential: testCredential, clock: systemClock });
  const close = async () => {
    await repository.close();
    await store.close();
  };
  return { repository, close };
}

function backUp(repository: Repository, name: string) {
  const stateDirectory = join(scratch, `state-${name}`);
  mkdirSync(stateDirectory, { recursive: true });
  const source = targetOf(server.backupSocketUrl);
  return runBackup({
    repository,
    source,
    cluster: 'test',
    checkpoint: 'fast',
    stateDirectory,
    clock: systemClock,
    progress: silentProgress,
  });
}

/** The primary and its copy as whoever restores opens them. */
function opened(primary: ObjectStore, copy: string) {
  const events: CopyEvent[] = [];
  const copies = [{ name: 'copy', store: fartherThanPrimary(openDiskStore(copy)), required: true }];
  const store = openCopiedStore({
    ...{ primary, copies, clock: systemClock, access: 'read' as const },
    onEvent: (event) => events.push(event),
  });
  return { store, events };
}

/** A place that is slow to say whose it is, by which readers measure how near it is: so the primary is asked first. */
function fartherThanPrimary(store: ObjectStore): ObjectStore {
  return storeWith(store, {
    get: async (name) => {
      if (name === 'format') await systemClock.sleep(500);
      return store.get(name);
    },
  });
}

async function restore(store: ObjectStore, name: string): Promise<string> {
  const [into, stateDirectory] = [join(scratch, `restored-${name}`), join(scratch, `state-${name}`)];
  mkdirSync(stateDirectory, { recursive: true });
  const repository = await openRepository({ store, credential: testCredential, access: 'read', clock: systemClock });
  try {
    const target = { kind: 'latest' } as const;
    await runRestore({ repository, cluster: 'test', into, target, stateDirectory, clock: systemClock });
    return into;
  } finally {
    await repository.close();
  }
}

function readFiles(directory: string): Map<string, Buffer> {
  const files = readRestoredFiles(directory);
  rmSync(directory, { recursive: true });
  return files;
}

function copyOf(name: string): { primary: string; copy: string } {
  const where = { primary: join(scratch, `${name}-primary`), copy: join(scratch, `${name}-copy`) };
  cpSync(origin.primary, where.primary, { recursive: true });
  cpSync(origin.copy, where.copy, { recursive: true });
  return where;
}

/** Turns one bit over in the middle of every object that is there. */
async function damageAll(path: string): Promise<string[]> {
  const names = (await namesIn(openDiskStore(path))).filter((name) => !name.startsWith('volatile/'));
  for (const name of names) {
    const bytes = readFileSync(join(path, name));
    if (bytes.length === 0) continue;
    bytes[bytes.length >> 1]! ^= 4;
    writeFileSync(join(path, name), bytes);
  }
  return names;
}

test('a backup is listed when the required copy has all of it, and the copy is a repository by itself', async () => {
  const [primary, copy] = [openDiskStore(origin.primary), openDiskStore(origin.copy)];
  const found = await compareCopies({ primary, copy: { name: 'copy', store: copy, required: true }, deep: true });
  assert.deepEqual([found.missing.names, found.differing.names], [[], []]);
  assert.deepEqual(readFiles(await restore(copy, 'copy-alone')), truth);
});

test('a burnt primary costs nothing: the whole comes from the copy, in its place or beside what is left', async () => {
  const where = copyOf('burnt');
  rmSync(where.primary, { recursive: true });
  const gone = opened(openDiskStore(where.primary), where.copy);
  assert.deepEqual(readFiles(await restore(gone.store, 'burnt')), truth);
  assert.ok(gone.events.some(({ kind, ...event }) => kind === 'place-away' && event.place === 'primary'));
  // A disk of which half is left.
  mkdirSync(where.primary);
  cpSync(join(origin.primary, 'keys'), join(where.primary, 'keys'), { recursive: true });
  cpSync(join(origin.primary, 'wal'), join(where.primary, 'wal'), { recursive: true });
  assert.deepEqual(readFiles(await restore(opened(openDiskStore(where.primary), where.copy).store, 'half')), truth);
});

test('a bit turned over in every object of the primary is restored from the copy, named, and healed from it', async () => {
  const where = copyOf('flipped');
  const names = await damageAll(where.primary);
  const { store, events } = opened(openDiskStore(where.primary), where.copy);
  assert.deepEqual(readFiles(await restore(store, 'flipped')), truth);
  const told = new Set(events.flatMap((event) => (event.kind === 'damaged' ? [event.name.split('/')[0]] : [])));
  for (const kind of ['packs', 'index', 'snapshots', 'wal']) assert.ok(told.has(kind), `${kind} among ${[...told]}`);

  const copies = [{ name: 'copy', store: openDiskStore(where.copy), required: true }];
  const primary = openDiskStore(where.primary);
  const healing = openCopiedStore({ primary, copies, clock: systemClock, access: 'write', catchUp: false });
  const repository = await openRepository({
    store: healing,
    credential: testCredential,
    access: 'write',
    clock: systemClock,
  });
  for (const name of names) await healObject(repository, name);
  await repository.close();
  await healing.close();
  const before = await objectsOf(openDiskStore(origin.primary));
  const now = await objectsOf(primary);
  const notHealed = [...before].filter(([name, bytes]) => now.get(name) !== bytes).map(([name]) => name);
  assert.deepEqual(notHealed, []);
});

test('a verification says what is damaged in the primary, whatever the copy has, and healing takes it from there', async () => {
  const where = copyOf('verified');
  const primary = openDiskStore(where.primary);
  const copies = [{ name: 'copy', store: openDiskStore(where.copy), required: true }];
  const store = openCopiedStore({ primary, copies, clock: systemClock, access: 'write' });
  const repository = await openRepository({ store, credential: testCredential, access: 'write', clock: systemClock });
  const stateDirectory = join(scratch, 'state-verified');
  mkdirSync(stateDirectory, { recursive: true });
  const options = { repository, stateDirectory, clock: systemClock, progress: silentProgress };
  for (const prefix of ['packs/', 'snapshots/committed/', 'wal/']) {
    const name = (await namesIn(primary, prefix)).find((each) => prefix !== 'wal/' || each.includes('/segments/'))!;
    const bytes = readFileSync(join(where.primary, name));
    bytes[bytes.length >> 1]! ^= 4;
    writeFileSync(join(where.primary, name), bytes);
  }
  assert.equal((await verifySnapshots({ ...options, record: true })).isSound, false);
  const { fromPlaces } = await healRepository(options);
  assert.ok(fromPlaces.length >= 3 && fromPlaces.every(({ from }) => from === 'copy'), JSON.stringify(fromPlaces));
  assert.equal((await verifySnapshots({ ...options, record: true })).isSound, true);
  await repository.close();
  await store.close();
});

test('a copy that is made the primary goes on being one: backups, WAL, restores', async () => {
  const where = copyOf('promoted');
  const store = openDiskStore(where.copy);
  const repository = await openRepository({ store, credential: testCredential, access: 'write', clock: systemClock });
  const stateDirectory = join(scratch, 'state-promoted');
  mkdirSync(stateDirectory, { recursive: true });
  const source = server.backupSocketUrl;
  const receiver = startReceiver({ repository, stateDirectory, source, cluster: 'test', flushIntervalMs: 100 });
  try {
    await server.query('CREATE TABLE later AS SELECT 7 AS n');
    await backUp(repository, 'promoted');
    await server.query('INSERT INTO later VALUES (8)');
    await receiver.durable(await flushLsnOf(server));
  } finally {
    await receiver.stop();
    await repository.close();
  }
  assert.ok((await restore(store, 'promoted')).length > 0);
});

test('a required copy that is cut off holds the backup back, and one that is not required does not', async () => {
  const where = copyOf('cut');
  const line = cuttablePlace('copy', { inner: openDiskStore(where.copy), required: true });
  for (const required of [false, true]) {
    line.isCut = true;
    const copies = [{ name: 'copy', store: line.store, required }];
    const primary = openDiskStore(where.primary);
    const store = openCopiedStore({ primary, copies, clock: systemClock, access: 'write' });
    const repository = await openRepository({ store, credential: testCredential, access: 'write', clock: systemClock });
    const before = (await repository.listSnapshots()).snapshots.length;
    let isDone = false;
    const running = backUp(repository, `cut-${required}`).finally(() => {
      isDone = true;
    });
    if (required) {
      // All is in the primary by now, and the record alone is waited with.
      while ((await namesIn(primary, 'snapshots/pending/')).length <= before) await systemClock.sleep(50);
      await systemClock.sleep(300);
      assert.equal(isDone, false);
      assert.equal((await repository.listSnapshots()).snapshots.length, before);
    } else await running;
    line.isCut = false;
    await running;
    await store.settled();
    const found = await compareCopies({ primary, copy: { name: 'copy', store: line.store, required }, deep: true });
    assert.deepEqual([found.missing.names, found.differing.names], [[], []]);
    await repository.close();
    await store.close();
  }
});
