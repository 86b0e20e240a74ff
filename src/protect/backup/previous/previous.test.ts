import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { lockingStore } from '../../../../test/support/locking-store.ts';
import { createRepository, type TestRepository } from '../../../../test/support/memory-repository.ts';
import {
  attestDoubt,
  ChunkPacker,
  ChunkReader,
  commitSnapshot,
  encodeFileMap,
  type FileMap,
  loadIndex,
  memoryStore,
  newSnapshotId,
  PackDepot,
  recordDamage,
  type SnapshotRecord,
  TreeWriter,
} from '../../../repository/index.ts';
import { choosePrevious, PreviousFiles, type PreviousPurpose } from './index.ts';

const lineage = 'ab'.repeat(32);
const wanted = { cluster: 'main', system: '7000000000000000001', lineage, timeline: 1 };
const PAGE = 8192;
const LEAF = 8 << 20;

interface Made {
  snapshot: SnapshotRecord;
  leaves: Buffer[];
  dataPacks: Buffer[];
}

/** A snapshot of a small file, an empty one and one of two map leaves; nothing of it is shared with another one. */
async function makeSnapshot(place: TestRepository, changes: Partial<SnapshotRecord> = {}): Promise<Made> {
  const { repository } = place;
  const index = await loadIndex(repository);
  const depot = new PackDepot(repository, index);
  const data = new ChunkPacker({ repository, index, depot, content: 'data' });
  const tree = new ChunkPacker({ repository, index, depot, content: 'tree' });
  const chunk = async (pages: number) => ({
    form: 'chunk' as const,
    id: await data.store(randomBytes(pages * PAGE)),
    offset: 0,
    length: pages * PAGE,
  });
  const small: FileMap = { extents: [await chunk(3)], fingerprints: randomBytes(24) };
  const leaves: Buffer[] = [];
  for (const length of [LEAF, 2 * PAGE]) {
    const first = await chunk(1);
    const extents = [
      first,
      ...(length > first.length ? [{ form: 'zero' as const, length: length - first.length }] : []),
    ];
    leaves.push(await tree.store(encodeFileMap({ extents, fingerprints: randomBytes((length / PAGE) * 8) })));
  }
  const writer = new TreeWriter((raw) => tree.store(raw));
  const head = { mode: 0o600, mtimeMs: 1 };
  await writer.add({ type: 'directory', path: 'data', ...head });
  await writer.add({
    type: 'file',
    path: 'data/base/5/1',
    ...head,
    size: 3 * PAGE,
    content: { form: 'inline', map: small },
  });
  await writer.add({
    type: 'file',
    path: 'data/base/5/2',
    ...head,
    size: LEAF + 2 * PAGE,
    content: { form: 'split', leaves },
  });
  await writer.add({
    ...{ type: 'file', path: 'data/base/5/3', ...head, size: 0 },
    content: { form: 'inline', map: { extents: [], fingerprints: null } },
  });
  const summary = await writer.finish();
  await data.finish();
  await tree.finish();
  const dataPacks = [...index.listPacksCountedOn()].filter(
    (id) => index.packOf(index.packNumberOf(id)!).content === 'data',
  );
  index.close();
  const snapshot: SnapshotRecord = {
    version: 1,
    id: newSnapshotId(),
    kind: 'base-backup',
    cluster: wanted.cluster,
    writer: randomBytes(16).toString('hex'),
    startedAt: new Date().toISOString(),
    completedAt: new Date().toISOString(),
    tree: summary,
    stored: { newChunks: 1, newBytes: 1, storedBytes: 1 },
    wal: { system: wanted.system, lineage, timeline: 1, start: '0/2000028', end: '0/3000000' },
    details: {},
    ...changes,
  };
  await commitSnapshot(repository, snapshot);
  return { snapshot, leaves, dataPacks };
}

async function choose(test: TestContext, place: TestRepository, purpose: PreviousPurpose, changes = {}) {
  const index = await loadIndex(place.repository);
  test.after(() => index.close());
  const { store, keys } = place.repository;
  const { readChunk } = new ChunkReader({ store, keys, index });
  return choosePrevious({ ...wanted, ...changes, purpose, repository: place.repository, index, readChunk });
}

describe('the files of an older backup', () => {
  it('are found by their paths, with size and maps', async (test) => {
    const place = await createRepository(test);
    const { snapshot, leaves } = await makeSnapshot(place);
    const { files } = await choose(test, place, 'increment');
    assert.equal(files!.snapshot.id, snapshot.id);
    assert.deepEqual(
      [...files!.list()].map(({ path, size }) => [path, size]),
      [
        ['data/base/5/1', 3 * PAGE],
        ['data/base/5/2', LEAF + 2 * PAGE],
        ['data/base/5/3', 0],
      ],
    );
    assert.equal(files!.find('data/base/5/4'), null);
    assert.equal(files!.find('data'), null);
    const small = files!.find('data/base/5/1')!;
    assert.deepEqual([small.size, small.leafCount, small.leafId(0), await small.leaf(1)], [3 * PAGE, 1, null, null]);
    assert.equal((await small.leaf(0))!.extents.length, 1);
    const large = files!.find('data/base/5/2')!;
    assert.deepEqual([large.leafCount, large.leafId(0), large.leafId(1), large.leafId(2)], [2, ...leaves, null]);
    assert.equal((await large.leaf(1))!.fingerprints!.length, 16);
    const empty = files!.find('data/base/5/3')!;
    assert.deepEqual((await empty.leaf(0))!.extents, []);
  });

  it('are those of the newest one that is usable, and why none is is said', async (test) => {
    const place = await createRepository(test);
    const none = await choose(test, place, 'increment');
    assert.match(none.why!, /there is no earlier backup/);
    const old = await makeSnapshot(place);
    const { wal } = old.snapshot;
    const damaged = await makeSnapshot(place, {
      wal: { ...wal, start: '0/5000028', end: '0/6000000' },
      details: { checksumFailures: ['invalid page in block 1'] },
    });
    const chosen = await choose(test, place, 'increment');
    assert.equal(chosen.files!.snapshot.id, old.snapshot.id);
    const compared = await choose(test, place, 'comparison');
    assert.equal(compared.files!.snapshot.id, damaged.snapshot.id);
    assert.match((await choose(test, place, 'increment', { timeline: 2 })).why!, /of timeline 1, .* on timeline 2/);
    assert.match((await choose(test, place, 'increment', { lineage: 'cd'.repeat(32) })).why!, /no longer that of/);
    assert.notEqual((await choose(test, place, 'comparison', { timeline: 2 })).files, null);
    for (const other of [{ cluster: 'other' }, { system: '8' }]) {
      assert.match((await choose(test, place, 'comparison', other)).why!, /no earlier backup/);
    }
  });

  it('are not built upon when it is in doubt, or what it stands on is', async (test) => {
    const place = await createRepository(test);
    const old = await makeSnapshot(place);
    const { id, wal } = old.snapshot;
    const reading = { manner: 'increment', base: id, baseStart: wal.start };
    await makeSnapshot(place, { wal: { ...wal, start: '0/5000028', end: '0/6000000' }, details: { reading } });
    await attestDoubt(place.repository, { snapshots: [id], facts: {} });
    assert.match((await choose(test, place, 'increment')).why!, /is in doubt/);
    assert.notEqual((await choose(test, place, 'comparison')).files, null);
  });

  it('are not built upon when a pack of theirs is damaged, and an older sound one is taken', async (test) => {
    const place = await createRepository(test);
    const old = await makeSnapshot(place);
    const { wal } = old.snapshot;
    const newer = await makeSnapshot(place, { wal: { ...wal, start: '0/5000028', end: '0/6000000' } });
    await recordDamage(place.repository, newer.dataPacks[0]!, {});
    assert.equal((await choose(test, place, 'increment')).files!.snapshot.id, old.snapshot.id);
    assert.equal((await choose(test, place, 'comparison')).files!.snapshot.id, newer.snapshot.id);
    await recordDamage(place.repository, old.dataPacks[0]!, {});
    assert.match((await choose(test, place, 'increment')).why!, /needs what is damaged/);
  });
});

describe('an older backup in a place that keeps locks', () => {
  it('has each of its packs counted on, so that an increment extends the locks of all of them', async (test) => {
    const store = lockingStore(memoryStore(), () => 60_000);
    const place = await createRepository(test, { store });
    const { dataPacks } = await makeSnapshot(place);
    const other = await makeSnapshot(place, { cluster: 'other' });
    const index = await loadIndex(place.repository);
    test.after(() => index.close());
    const { readChunk } = new ChunkReader({ store, keys: place.repository.keys, index });
    const chosen = await choosePrevious({
      ...{ ...wanted, repository: place.repository, index, readChunk },
      purpose: 'increment',
    });
    assert.notEqual(chosen.files, null);
    const counted = [...index.listPacksCountedOn()].map((id) => id.toString('hex'));
    for (const pack of dataPacks) assert.ok(counted.includes(pack.toString('hex')));
    for (const pack of other.dataPacks) assert.ok(!counted.includes(pack.toString('hex')), 'of no other snapshot');
    assert.equal(counted.length, 2, 'its data and its tree');
  });
});

describe('one file of an older backup', () => {
  it('says which of its map leaves are lost', async (test) => {
    const place = await createRepository(test);
    const { snapshot } = await makeSnapshot(place);
    const index = await loadIndex(place.repository);
    test.after(() => index.close());
    const { store, keys } = place.repository;
    const { readChunk } = new ChunkReader({ store, keys, index });
    const files = await PreviousFiles.open({ snapshot, index, readChunk });
    for (const { packId, content } of index.listPacks()) if (content === 'tree') index.markDoubtful(packId);
    const file = files.find('data/base/5/2')!;
    // It can be read still, and must not be counted on.
    assert.equal(file.leafId(0), null);
    assert.notEqual(await file.leaf(0), null);
  });
});
