import assert from 'node:assert/strict';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Progress, silentProgress, systemClock } from '../../src/lib/index.ts';
import { healRepository, type VerificationResult, verifySnapshots } from '../../src/prove/index.ts';
import { listAttestations, listKnownDamage, type SnapshotRecord } from '../../src/repository/index.ts';
import { listDescribedSnapshots, readStatus } from '../../src/watch/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { historyOf, type ProtectedServer, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { reopenRepository, targetOf, testPassphrase } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

/**
 * One server, one repository, and damage of every kind that a backup, a heal or a second copy can make good again. Each test leaves the repository
 * sound for the next one.
 */
let world: ProtectedServer;
let snapshots: SnapshotRecord[];

before(async () => {
  // What is to heal has to stay as it was backed up, however long that takes.
  world = await startProtectedServer(18, { autovacuum: 'off' });
  await world.server.query('CREATE TABLE still AS SELECT i, md5(i::text) FROM generate_series(1, 30000) i');
  await world.server.query('CHECKPOINT');
  await world.write(3);
  snapshots = [(await world.backUp()).snapshot];
  await world.write(3);
  await world.server.query('SELECT pg_switch_wal()');
  await world.write(3);
  await world.settle();
});
after(() => world.dispose());

const pathOf = (name: string) => join(world.place.path, name);

/** Everything under a prefix, in order of names. */
async function listObjects(prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of world.repository.store.list(prefix)) names.push(name);
  return names;
}

/** Whether an index object can be read. */
async function isReadable(name: string): Promise<boolean> {
  try {
    await world.repository.getBody('index', name);
    return true;
  } catch {
    return false;
  }
}

/** Changes one byte in the middle of an object, as a failing disk would. */
function corrupt(name: string): void {
  const bytes = readFileSync(pathOf(name));
  bytes[bytes.length >> 1]! ^= 0x01;
  rmSync(pathOf(name));
  writeFileSync(pathOf(name), bytes);
}

async function verifyAll(options: { record?: boolean } = {}): Promise<VerificationResult> {
  const repository = await reopenRepository(world.place.path);
  try {
    return await verifySnapshots({
      repository,
      record: options.record ?? true,
      stateDirectory: world.place.stateDirectory,
      clock: systemClock,
      progress: silentProgress,
    });
  } finally {
    await repository.close();
  }
}

async function heal(withServer: boolean) {
  const repository = await reopenRepository(world.place.path);
  try {
    return await healRepository({
      repository,
      ...(withServer ? { source: targetOf(world.server.backupSocketUrl) } : {}),
      stateDirectory: world.place.stateDirectory,
      clock: systemClock,
      progress: silentProgress,
    });
  } finally {
    await repository.close();
  }
}

/** Restores a snapshot, brings it up to the newest WAL, and reads what is in it. */
async function assertRestores(snapshot: SnapshotRecord): Promise<void> {
  const result = await world.restore({
    target: { kind: 'latest' },
    snapshot: snapshot.id,
    start: { binDirectory: world.server.binDirectory },
    ...(runsAsRoot ? { owner: nobody } : {}),
  });
  const { instance } = result.instance!;
  try {
    assert.equal(await historyOf(instance), rowsUpTo(world.steps.length));
  } finally {
    await result.instance!.stop();
    rmSync(result.proposal.into, { recursive: true });
  }
}

function findDamage(result: VerificationResult, object: string) {
  const found = result.damage.find((each) => each.object === object);
  assert.ok(found !== undefined, `${object} is among ${result.damage.map((each) => each.object).join(', ')}`);
  return found;
}

/** What was found, for a message: positions do not fit into JSON. */
const shown = (result: VerificationResult) =>
  JSON.stringify(result.damage, (_, value) => (typeof value === 'bigint' ? String(value) : value), 1);

const statesOf = (result: VerificationResult) => new Map(result.damage.map(({ object, state }) => [object, state]));

/** The state that is noted last of each damaged object. */
async function notedStates(): Promise<(string | undefined)[]> {
  return (await listKnownDamage(world.repository)).map(({ note }) => note?.state);
}

/** What status says of damage. */
async function toldByStatus(): Promise<string[]> {
  const { findings } = await readStatus({ repository: world.repository, clock: systemClock });
  return findings.map(({ severity, code, sentence }) => `${severity} ${code} ${sentence}`);
}

/** Of each snapshot, whether a list of them calls it damaged. */
async function listedAsDamaged(): Promise<boolean[]> {
  const { snapshots: described } = await listDescribedSnapshots(world.repository, undefined);
  return described.map(({ isDamaged }) => isDamaged);
}

describe('damage', () => {
  it('is none at first, and what nothing needs is counted', async () => {
    const result = await verifyAll();
    assert.deepEqual(result.damage, []);
    assert.equal(result.isSound, true);
    assert.deepEqual(result.unreferenced, {
      ...{ packs: 0, packBytes: 0, pendingSnapshots: 0, attestations: 0, foreign: [] },
    });
  });

  it('of a data pack costs the files in it, and the next backup heals the old snapshot by id', async () => {
    const [old] = snapshots;
    const packs = await Promise.all(
      (await listObjects('packs/')).map(async (name) => ({ name, size: (await stat(pathOf(name))).size })),
    );
    const largest = packs.sort((a, b) => b.size - a.size)[0]!.name;
    corrupt(largest);
    const found = findDamage(await verifyAll(), largest);
    assert.equal(found.state, 'harmful');
    assert.deepEqual(
      found.snapshots.map(({ snapshot, files }) => [snapshot, files > 0]),
      [[old!.id, true]],
    );
    assert.match(found.costSentence, /1 of 1 snapshot cannot be restored whole: [0-9a-f]{12} \(\d+ files?: /);
    assert.match(found.advice[0]!, /holdfast backup/);
    assert.deepEqual(await notedStates(), ['harmful']);
    assert.deepEqual(await toldByStatus(), [`problem damage ${largest} is damaged. ${found.costSentence}`]);
    assert.deepEqual(await listedAsDamaged(), [true], 'whatever was attested of it before');
    await assert.rejects(assertRestores(old!), { code: 'CHUNK_DAMAGED' });

    snapshots.push((await world.backUp()).snapshot);
    const healed = await verifyAll();
    assert.deepEqual([...statesOf(healed)], [[largest, 'healed']]);
    assert.equal(healed.isSound, true, shown(healed));
    assert.deepEqual(await notedStates(), ['healed']);
    assert.deepEqual(await toldByStatus(), []);
    assert.deepEqual(await listedAsDamaged(), [false, false]);
    const { attestations } = await listAttestations(world.repository, old!.id);
    assert.equal(attestations.at(-1)!.level, 'verified');
    await assertRestores(old!);
  });

  it('of a pack that is gone is known by one listing, before anything is read', async () => {
    const repository = await reopenRepository(world.place.path);
    const [first] = await listObjects('packs/');
    const away = `${pathOf(first!)}.away`;
    renameSync(pathOf(first!), away);
    const notes: string[] = [];
    let bytesRead = 0;
    const progress: Progress = {
      ...silentProgress,
      advance: (bytes) => {
        bytesRead += bytes;
      },
      note: (message) => void (notes.length === 0 && notes.push(`${message} ${bytesRead > 1_000_000}`)),
    };
    const options = { repository, record: false, stateDirectory: world.place.stateDirectory, clock: systemClock };
    const result = await verifySnapshots({ ...options, progress });
    await repository.close();
    renameSync(away, pathOf(first!));
    assert.match(notes[0]!, new RegExp(`${first} is damaged: It is not in the store. false`));
    assert.deepEqual(result.damagedPacks.map(({ pack }) => pack).includes(first!), true);
    assert.deepEqual(result.unreferenced?.foreign.length, 1, "and the other name is nobody's");
  });

  it('of every object of the index is mended from the packs, and all is restored again', async () => {
    const objects = await listObjects('index/');
    assert.ok(objects.length >= 2);
    corrupt(objects[0]!);
    for (const name of objects.slice(1)) rmSync(pathOf(name));
    const result = await verifyAll();
    const found = findDamage(result, objects[0]!);
    assert.equal(found.state, 'harmful');
    assert.equal(found.snapshots.length, snapshots.length);
    assert.match(found.advice.join(), /holdfast repository heal/);
    await assert.rejects(assertRestores(snapshots[0]!));

    const { index } = await heal(false);
    assert.equal(index.packs, (await listObjects('packs/')).length);
    assert.deepEqual(index.unreadable, []);
    assert.equal((await heal(false)).index.packs, 0, 'there is nothing to do a second time');
    const healed = await verifyAll();
    assert.equal(healed.isSound, true, shown(healed));
    assert.equal(statesOf(healed).get(objects[0]!), 'healed');
    await assertRestores(snapshots[1]!);
  });

  it('of a committed record is passed over, as the pending one says the same; a lost one is committed again', async () => {
    const [old, newer] = snapshots;
    corrupt(`snapshots/committed/${old!.id}`);
    rmSync(pathOf(`snapshots/committed/${newer!.id}`));
    const result = await verifyAll();
    assert.equal(findDamage(result, `snapshots/committed/${old!.id}`).state, 'harmless');
    const gone = findDamage(result, `snapshots/committed/${newer!.id}`);
    assert.equal(gone.state, 'harmful');
    assert.match(gone.costSentence, /cannot be listed/);
    await assertRestores(old!);

    assert.deepEqual((await heal(false)).snapshots, [newer!.id]);
    const healed = await verifyAll();
    assert.equal(healed.isSound, true, shown(healed));
    assert.deepEqual(
      healed.snapshots.map(({ snapshot }) => snapshot.id),
      [old!.id, newer!.id],
    );
  });

  it('of the first object of a lineage harms nothing, as there are two', async () => {
    const [lineage] = (await listObjects('wal/')).filter((name) => name.endsWith('/lineage'));
    corrupt(lineage!);
    assert.equal(findDamage(await verifyAll(), lineage!).state, 'harmless');
    const known = await verifyAll();
    assert.equal(known.isSound, true, shown(known));
    rmSync(pathOf(lineage!));
    assert.deepEqual((await heal(false)).copies, [lineage]);
    const healed = await verifyAll();
    assert.deepEqual([healed.isSound, statesOf(healed).has(lineage!)], [true, false]);
  });

  it('of a segment costs moments and snapshots, and a server that still has it gives it back', async () => {
    await world.write(2);
    await world.server.query('SELECT pg_switch_wal()');
    await world.write(2);
    await world.server.query('SELECT pg_switch_wal()');
    await world.write(1);
    await world.settle();
    const [old] = snapshots;
    const segments = (await listObjects('wal/')).filter((name) => name.includes('/segments/'));
    const segment = segments.at(-1)!;
    corrupt(segment);
    const found = findDamage(await verifyAll(), segment);
    assert.equal(found.state, 'harmful');
    const [cost, ...others] = found.wal;
    assert.deepEqual(others, []);
    assert.equal(cost!.to, null, 'no snapshot was begun behind it');
    assert.equal(cost!.lostEnd - cost!.lostStart, 16n * 1024n * 1024n);
    const before = Number(world.steps.at(-4)!.at / 1000n);
    assert.ok(Math.abs(cost!.fromTime! - before) < 60_000);
    assert.match(found.costSentence, /no moment after .*Z can be restored until a new backup has been taken/);
    await assert.rejects(assertRestores(old!));

    const { wal } = await heal(true);
    assert.deepEqual(wal, [{ object: segment, problem: null }]);
    const healed = await verifyAll();
    assert.equal(healed.isSound, true, shown(healed));
    assert.equal(statesOf(healed).get(segment), 'healed');
    await assertRestores(old!);
  });

  it('by which a segment is gone is mended like one that is damaged, and never passed over in silence', async () => {
    const segment = (await listObjects('wal/')).filter((name) => name.includes('/segments/')).at(-2)!;
    rmSync(pathOf(segment));
    const found = findDamage(await verifyAll(), segment);
    assert.equal(found.state, 'harmful');
    const [alone, ...others] = (await heal(false)).wal;
    assert.deepEqual([alone!.object, others], [segment, []]);
    assert.match(alone!.problem!, /No server was named/);
    assert.deepEqual((await heal(true)).wal, [{ object: segment, problem: null }]);
    const healed = await verifyAll();
    assert.equal(healed.isSound, true, shown(healed));
    await assertRestores(snapshots[0]!);
  });

  it('of WAL is a problem of the present until a backup was begun behind it, and one of the past from then on', async () => {
    await world.write(1);
    await world.server.query('SELECT pg_switch_wal()');
    await world.write(1);
    await world.settle();
    const segment = (await listObjects('wal/')).filter((name) => name.includes('/segments/')).at(-1)!;
    const bytes = readFileSync(pathOf(segment));
    const toldOf = async () => (await toldByStatus()).find((line) => line.includes(segment));
    rmSync(pathOf(segment));
    assert.equal(findDamage(await verifyAll(), segment).advice.length, 2);
    assert.match((await toldOf())!, /^problem damage /);
    await world.backUp();
    assert.equal(findDamage(await verifyAll(), segment).advice.length, 1);
    assert.match((await toldOf())!, /^notice damage-past /);
    writeFileSync(pathOf(segment), bytes);
    assert.equal((await verifyAll()).isSound, true);
    assert.equal(await toldOf(), undefined);
  });

  it('is looked for by the command in what it is told to look at, and mended by the other one', async () => {
    const environment = {
      HOLDFAST_REPOSITORY: world.place.path,
      HOLDFAST_PASSPHRASE: testPassphrase,
      HOLDFAST_STATE_DIR: world.place.stateDirectory,
    };
    const run = async (...words: string[]) => runHoldfast([...words, '--json'], { environment });
    const [old, newer] = snapshots;
    const both = await run('verify', old!.id.slice(0, 16), newer!.id.slice(0, 16));
    assert.equal(both.code, 0, both.stdout);
    assert.equal(documentOf<{ snapshots: object[] }>(both).snapshots.length, 2);

    const range = await run('verify', '--wal', `${old!.wal.start}..${old!.wal.end}`, '--read-only');
    const { walObjects, snapshots: none, packs } = documentOf<Record<string, unknown>>(range);
    assert.deepEqual([range.code, none, packs], [0, [], 0]);
    assert.ok(Number(walObjects) >= 1);
    const recent = await run('verify', '--since', newer!.completedAt, '--sample', '50', '--seed', '7');
    const document = documentOf<{ snapshots: { snapshot: string }[]; sample: object }>(recent);
    assert.deepEqual([recent.code, document.sample], [0, { percent: 50, seed: 7 }], recent.stdout);
    assert.ok(document.snapshots.every(({ snapshot }) => snapshot !== old!.id));

    for (const words of [
      ['--wal', '5..4'],
      ['--sample', '0'],
      ['--seed', '3'],
      ['--all', '--since', 'now'],
      ['--since', 'latest'],
    ]) {
      assert.equal((await run('verify', ...words)).code, 2, words.join(' '));
    }
    // Damaged ones are there still, which costs nothing any more.
    const sound: string[] = [];
    for (const name of await listObjects('index/')) if (await isReadable(name)) sound.push(name);
    const [index] = sound.toSorted((a, b) => statSync(pathOf(b)).size - statSync(pathOf(a)).size);
    rmSync(pathOf(index!));
    assert.equal((await run('verify', '--all', '--read-only')).code, 3);
    const healing = await run('repository', 'heal');
    assert.equal(healing.code, 0, healing.stderr);
    assert.equal(documentOf<{ index: { objects: string[] } }>(healing).index.objects.length, 1);
    assert.equal((await run('verify', '--all')).code, 0);
  });
});
