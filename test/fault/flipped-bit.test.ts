import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openLedger } from '../../src/ledger/index.ts';
import { HoldfastError, silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { verifySnapshots } from '../../src/prove/index.ts';
import {
  healObject,
  listAttestations,
  type ObjectStore,
  openCopiedStore,
  openDiskStore,
  openRepository,
} from '../../src/repository/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, reopenRepository, targetOf, testCredential } from '../support/repository.ts';
import { assertSameFiles, readRestoredFiles } from '../support/restored-files.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';

/** Bits tried in each kind of object; `npm run campaign` tries more. */
const BITS_PER_KIND = Number(process.env.HOLDFAST_BITS_PER_KIND ?? 2);
/** And so many with a whole copy beside. */
const BITS_BESIDE_COPY_PER_KIND = Math.ceil(BITS_PER_KIND / 2);
/** Of the other ways in which an object can be harmed, so many are tried on each kind. */
const HARMS_PER_KIND = Number(process.env.HOLDFAST_HARMS_PER_KIND ?? 1);

let server: PostgresServer;
let scratch: string;
let origin: string;
let truth: Map<string, Buffer>;

before(async () => {
  scratch = await makeScratchDirectory('flipped-bit');
  server = await startPostgres({ major: 18 });
  await server.query('CREATE TABLE item AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i');
  const place = await makeRepository(scratch, 'origin');
  origin = place.path;
  await runBackup({
    ...place,
    source: targetOf(server.backupSocketUrl),
    cluster: 'test',
    checkpoint: 'fast',
    clock: systemClock,
    progress: silentProgress,
  });
  await place.repository.close();
  truth = readRestoredFiles((await restore(openDiskStore(origin), 'truth')).into);
});
after(async () => {
  await server.dispose();
  await rm(scratch, { recursive: true, force: true });
});

async function restore(store: ObjectStore, name: string): Promise<{ into: string }> {
  const repository = await openRepository({ store, credential: testCredential, access: 'read', clock: systemClock });
  const into = join(scratch, `restored-${name}`);
  try {
    const stateDirectory = join(scratch, `state-${name}`);
    mkdirSync(stateDirectory, { recursive: true });
    await runRestore({
      repository,
      cluster: 'test',
      into,
      target: { kind: 'latest' },
      stateDirectory,
      clock: systemClock,
    });
    return { into };
  } finally {
    await repository.close();
  }
}

function listObjects(path: string): string[] {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' });
  return names.filter(
    (name) => !name.startsWith('.') && !name.startsWith('volatile') && statSync(join(path, name)).isFile(),
  );
}

function kindOf(name: string): string {
  if (name.startsWith('wal/')) return `wal/…/${name.split('/')[3]}`;
  return name.startsWith('snapshots/') ? name.split('/').slice(0, 2).join('/') : name.split('/')[0]!;
}

/** Everything that looks at a repository; gives what was said, empty when nobody noticed anything. */
async function examine(path: string, name: string): Promise<string[]> {
  const said: string[] = [];
  const hear = (error: unknown) => {
    assert.ok(error instanceof HoldfastError, `an error for people: ${String(error)}`);
    said.push(`${error.code} ${error.message} ${error.detail ?? ''}`);
  };
  try {
    const stateDirectory = join(scratch, `state-examine-${name}`);
    mkdirSync(stateDirectory, { recursive: true });
    const repository = await reopenRepository(path);
    const options = { repository, record: false, stateDirectory, clock: systemClock, progress: silentProgress };
    const verified = await verifySnapshots(options);
    const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
    if (!verified.isSound) said.push(JSON.stringify(verified, plain));
    for (const { snapshot } of verified.snapshots) {
      for (const refused of (await listAttestations(repository, snapshot.id)).refused)
        said.push(JSON.stringify(refused));
    }
    const ledger = await openLedger(repository, stateDirectory);
    const report = await ledger.verify();
    if (report.problems.length > 0) said.push(JSON.stringify(report));
    await repository.close();
  } catch (error) {
    hear(error);
  }
  return said;
}

test('a flipped bit in any kind of object is found and named, and never restored', async (t) => {
  const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  const random = seededRandom(seed);
  const byKind = new Map<string, string[]>();
  for (const name of listObjects(origin)) byKind.set(kindOf(name), [...(byKind.get(kindOf(name)) ?? []), name]);
  const kinds = [...byKind.keys()].sort();
  for (const kind of ['format', 'keys', 'packs', 'index', 'snapshots/committed', 'attest', 'ledger', 'wal/…/lineage']) {
    assert.ok(kinds.includes(kind), `${kind} is among ${kinds.join(', ')}`);
  }
  assert.deepEqual(await examine(origin, 'origin'), [], 'the repository is sound before');
  for (const kind of kinds) {
    for (let i = 0; i < BITS_PER_KIND; i++) {
      const name = random.pick(byKind.get(kind)!);
      const label = `${kind.replaceAll(/[^a-z]+/g, '-')}-${i}`;
      const path = join(scratch, label);
      cpSync(origin, path, { recursive: true });
      const where = `${flipBitOf(join(path, name), random)} in ${name}`;
      await assertFound(path, label, kind, name, where);
      await assertNeverRestored(path, label, where);
      await rm(path, { recursive: true });
    }
  }
});

test('a flipped bit in any kind of object costs a restore nothing where a copy is whole, and is healed from there', async (t) => {
  const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  const random = seededRandom(seed);
  for (const [kind, names] of Map.groupBy(listObjects(origin), kindOf)) {
    for (let i = 0; i < BITS_BESIDE_COPY_PER_KIND; i++) {
      const name = random.pick(names);
      const label = `beside-${kind.replaceAll(/[^a-z]+/g, '-')}-${i}`;
      const path = join(scratch, label);
      cpSync(origin, path, { recursive: true });
      await assertHealed(path, label, name, `${flipBitOf(join(path, name), random)} in ${name}`);
      await rm(path, { recursive: true });
    }
  }
});

/** Turns one bit of a file over, and says which. */
function flipBitOf(file: string, random: Random): string {
  const bytes = readFileSync(file);
  const bit = random.below(bytes.length * 8);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  writeFileSync(file, bytes);
  return `bit ${bit} of ${bytes.length * 8}`;
}

/** What else a disk, a store or a person can do to an object. `null` when it cannot be done to this one. */
const harms: Record<string, (path: string, name: string, others: readonly string[]) => string | null> = {
  removed: (path, name) => {
    rmSync(join(path, name));
    return 'is gone';
  },
  emptied: (path, name) => {
    writeFileSync(join(path, name), '');
    return 'is empty';
  },
  'cut short': (path, name) => {
    const bytes = readFileSync(join(path, name));
    writeFileSync(join(path, name), bytes.subarray(0, bytes.length - 1 - (bytes.length >> 2)));
    return 'is cut short';
  },
  lengthened: (path, name) => {
    writeFileSync(join(path, name), Buffer.concat([readFileSync(join(path, name)), Buffer.alloc(100)]));
    return 'has zeros behind its end';
  },
  exchanged: (path, name, others) => {
    const other = others.find((candidate) => candidate !== name);
    if (other === undefined) return null;
    const bytes = readFileSync(join(path, name));
    writeFileSync(join(path, name), readFileSync(join(path, other)));
    writeFileSync(join(path, other), bytes);
    return `has changed places with ${other}`;
  },
  renamed: (path, name) => {
    if (!/[0-9a-f]{32}$/.test(name)) return null;
    const other = `${name.slice(0, -1)}${name.endsWith('0') ? '1' : '0'}`;
    renameSync(join(path, name), join(path, other));
    return `is named ${other}`;
  },
};

/**
 * What nobody misses: it is not needed, as WAL before the backup and behind it, or there is another one; or the end of a chain that this reader has never seen.
 */
const UNMISSED = /^(attest|ledger|snapshots\/pending|wal\/…\/(fragments|landmarks|lineage|lineage\.copy|segments))$/;

test('an object that is removed, emptied, cut, lengthened, exchanged or renamed is noticed, and never restored', async (t) => {
  const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  const random = seededRandom(seed);
  const byKind = Map.groupBy(listObjects(origin), kindOf);
  for (const [kind, names] of byKind) {
    for (let i = 0; i < HARMS_PER_KIND; i++) {
      const harm = random.pick(Object.keys(harms));
      const label = `${kind.replaceAll(/[^a-z]+/g, '-')}-${harm.replace(' ', '-')}-${i}`;
      const path = join(scratch, label);
      cpSync(origin, path, { recursive: true });
      const name = random.pick(names);
      const done = harms[harm]!(path, name, names);
      if (done !== null) {
        const said = await examine(path, label);
        const where = `${name}, which ${done}`;
        if (harm !== 'removed' || !UNMISSED.test(kind)) assert.notDeepEqual(said, [], `somebody notices ${where}`);
        await assertNeverRestored(path, label, where);
      }
      await rm(path, { recursive: true });
    }
  }
});

async function assertFound(path: string, label: string, kind: string, name: string, where: string): Promise<void> {
  const said = (await examine(path, label)).join('\n');
  assert.notEqual(said, '', `somebody notices ${where}`);
  // What opens the repository is told by what it is; all else by its name.
  if (kind === 'format') assert.match(said, /format|feature|version|key/i, where);
  else if (kind === 'keys') assert.match(said, /key/i, where);
  else
    assert.ok(
      said.includes(name) || said.includes(name.split('/').at(-1)!),
      `${where} is named in: ${said.slice(0, 500)}`,
    );
}

/** A restore either fails, or gives exactly what it gave before: the damaged object was not needed. */
async function assertNeverRestored(path: string, label: string, where: string): Promise<void> {
  let into: string;
  try {
    ({ into } = await restore(openDiskStore(path), label));
  } catch (error) {
    assert.ok(error instanceof HoldfastError, `${where}: ${String(error)}`);
    return;
  }
  assertSameFiles(readRestoredFiles(into), truth, where);
  await rm(into, { recursive: true });
}

/** With a whole copy beside it the damage costs nothing: all is restored, and the object is healed from there. */
async function assertHealed(path: string, label: string, name: string, where: string): Promise<void> {
  // Not the origin itself: what is recorded of the damage goes to copies, and would excuse the same damage later.
  const copy = join(scratch, `${label}-copy`);
  cpSync(origin, copy, { recursive: true });
  const beside = (access: 'read' | 'write') => {
    const copies = [{ name: 'copy', store: openDiskStore(copy), required: true }];
    return openCopiedStore({ primary: openDiskStore(path), copies, clock: systemClock, access, catchUp: false });
  };
  const reading = beside('read');
  const { into } = await restore(reading, `${label}-beside`);
  assertSameFiles(readRestoredFiles(into), truth, `beside a copy: ${where}`);
  await rm(into, { recursive: true });
  await reading.close();
  const store = beside('write');
  const repository = await openRepository({ store, credential: testCredential, access: 'write', clock: systemClock });
  const { healed } = await healObject(repository, name);
  await repository.close();
  await store.close();
  const isWhole = readFileSync(join(path, name)).equals(readFileSync(join(origin, name)));
  assert.ok(isWhole, `healed: ${where}`);
  assert.deepEqual(healed, [{ place: 'primary', was: 'damaged', outcome: 'replaced' }], where);
  await rm(copy, { recursive: true });
}
