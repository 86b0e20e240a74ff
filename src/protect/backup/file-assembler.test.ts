import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { type Random, seededRandom } from '../../../test/support/seeded-random.ts';
import {
  acquireLease,
  type ChunkIndex,
  ChunkReader,
  type FetchChunk,
  type FileMap,
  type ObjectStore,
  type Repository,
  readFileMap,
  readTree,
  recordDamage,
  type SnapshotRecord,
} from '../../repository/index.ts';
import { FileAssembler } from './file-assembler.ts';
import { PreviousFiles } from './previous/index.ts';
import { openStores } from './stages/open-stores.ts';
import { storeTree } from './stages/store-tree.ts';

const PAGE = 8192;
const MIB = 1 << 20;

type Files = Map<string, Buffer>;

interface Taken {
  root: string;
  newBytes: number;
  newTreeBytes: number;
  unchangedBytes: number;
}

/** Backs up the files as a run of its own does, over the maps of an older one if its root is given. */
async function takeBackup(repository: Repository, files: Files, over: string | null): Promise<Taken> {
  await using lease = await acquireLease(repository, { purpose: 'backup' });
  const stores = await openStores({ repository, lease, workers: 1, level: 1 });
  try {
    const readChunk = readerOf(repository, stores.index);
    const snapshot = { tree: { root: over } } as SnapshotRecord;
    const previous = over === null ? null : await PreviousFiles.open({ snapshot, index: stores.index, readChunk });
    const storeLeaf = (raw: Uint8Array) => stores.tree.store(raw);
    const assembler = new FileAssembler({ pipeline: stores.ingest, index: stores.index, storeLeaf });
    for (const [path, bytes] of files) {
      const head = { path, mode: 0o600, mtimeMs: 0, size: bytes.length, paged: bytes.length % PAGE === 0 };
      assembler.beginFile({ ...head, previous: previous?.find(path) ?? null });
      for (let at = 0; at < bytes.length; at += 100_000) await assembler.write(bytes.subarray(at, at + 100_000));
      assembler.endFile();
    }
    const { newBytes } = await assembler.finish();
    const { root } = await storeTree({ stores, entries: assembler.entries });
    const { unchangedBytes } = assembler.collector;
    return { root, newBytes, newTreeBytes: stores.tree.newBytes, unchangedBytes };
  } finally {
    await stores[Symbol.asyncDispose]();
  }
}

/** Each chunk is read once, as many extents may point into it. */
function rememberAll(fetch: FetchChunk): FetchChunk {
  const read = new Map<string, Promise<Buffer>>();
  return (id) => {
    const key = Buffer.from(id).toString('hex');
    const known = read.get(key) ?? fetch(id);
    read.set(key, known);
    return known;
  };
}

function readerOf(repository: Repository, index: ChunkIndex): FetchChunk {
  return new ChunkReader({ store: repository.store, keys: repository.keys, index }).readChunk;
}

/** The bytes of each file as its map has them, and the maps. */
async function readBackup(
  repository: Repository,
  root: string,
): Promise<Map<string, { bytes: Buffer; maps: FileMap[] }>> {
  const index = await repository.loadIndex();
  try {
    const fetch = rememberAll(readerOf(repository, index));
    const files = new Map<string, { bytes: Buffer; maps: FileMap[] }>();
    for await (const entry of readTree(root, fetch)) {
      if (entry.type !== 'file') continue;
      const maps: FileMap[] = [];
      for await (const map of readFileMap(entry, fetch)) maps.push(map);
      const parts: Buffer[] = [];
      for (const extent of maps.flatMap(({ extents }) => extents)) {
        if (extent.form === 'zero') parts.push(Buffer.alloc(extent.length));
        else parts.push((await fetch(extent.id)).subarray(extent.offset, extent.offset + extent.length));
      }
      files.set(entry.path, { bytes: Buffer.concat(parts), maps });
    }
    return files;
  } finally {
    index.close();
  }
}

async function assertHolds(repository: Repository, root: string, files: Files): Promise<void> {
  const found = await readBackup(repository, root);
  assert.deepEqual([...found.keys()], [...files.keys()].sort());
  for (const [path, bytes] of files) assert.ok(found.get(path)!.bytes.equals(bytes), `"${path}" is as it was`);
}

/** 8 bytes for each page of every file, as they were computed when nothing older was known. */
function fingerprintsOf(found: Map<string, { maps: FileMap[] }>): Map<string, (string | undefined)[]> {
  return new Map(
    [...found].map(([path, { maps }]) => [path, maps.map(({ fingerprints }) => fingerprints?.toString('hex'))]),
  );
}

function changePage(files: Files, path: string, page: number): void {
  const bytes = Buffer.from(files.get(path)!);
  randomBytes(PAGE).copy(bytes, page * PAGE);
  files.set(path, bytes);
}

/** What may happen to the files of a server between two backups. */
function changeAnything(files: Files, random: Random): void {
  for (const [path, bytes] of files) {
    const pages = bytes.length / PAGE;
    const kind = random.below(8);
    if (kind === 0 && bytes.length > 0) files.set(path, bytes.subarray(0, random.below(pages) * PAGE));
    else if (kind === 1) files.set(path, Buffer.concat([bytes, random.bytes((1 + random.below(200)) * PAGE)]));
    else if (kind === 2) files.set(path, random.bytes(bytes.length));
    else if (kind < 7)
      for (let left = random.below(12); left > 0 && pages > 0; left--) changePage(files, path, random.below(pages));
  }
}

async function repositoryOf(test: TestContext): Promise<Repository> {
  return (await createRepository(test)).repository;
}

describe('a full backup over the maps of an older one', () => {
  it('stores nothing of what did not change, and the same tree', async (test) => {
    const repository = await repositoryOf(test);
    const files: Files = new Map([
      ['data/large', randomBytes(11 * MIB)],
      ['data/small', randomBytes(3 * PAGE)],
      ['data/words', Buffer.from('no pages')],
    ]);
    const first = await takeBackup(repository, files, null);
    const second = await takeBackup(repository, files, first.root);
    assert.deepEqual(second, { root: first.root, newBytes: 0, newTreeBytes: 0, unchangedBytes: 11 * MIB + 3 * PAGE });
  });

  it('stores of a slot that changed in a few places only the changed pages, together with those of others', async (test) => {
    const repository = await repositoryOf(test);
    const files: Files = new Map([['data/large', randomBytes(20 * MIB)]]);
    const first = await takeBackup(repository, files, null);
    for (const page of [0, 127, 128, 700, 701, 2000, 2559]) changePage(files, 'data/large', page);
    const second = await takeBackup(repository, files, first.root);
    assert.deepEqual([second.newBytes, second.unchangedBytes], [7 * PAGE, 20 * MIB - 7 * PAGE]);
    await assertHolds(repository, second.root, files);
    const { maps } = (await readBackup(repository, second.root)).get('data/large')!;
    const chunks = new Set(
      maps.flatMap(({ extents }) => extents.map((extent) => ('id' in extent ? extent.id.toString('hex') : ''))),
    );
    assert.equal(chunks.size, 21, 'the changed pages are one chunk');
  });

  it('stores a slot whole in which more than half of the pages changed', async (test) => {
    const repository = await repositoryOf(test);
    const files: Files = new Map([['data/large', randomBytes(3 * MIB)]]);
    const first = await takeBackup(repository, files, null);
    for (let page = 0; page < 64; page++) changePage(files, 'data/large', 2 * page);
    const half = await takeBackup(repository, files, first.root);
    assert.equal(half.newBytes, 64 * PAGE);
    for (let page = 128; page < 193; page++) changePage(files, 'data/large', page);
    const more = await takeBackup(repository, files, half.root);
    assert.equal(more.newBytes, MIB);
    await assertHolds(repository, more.root, files);
  });

  it('comes to its end where every slab holds changed pages that wait for another', {
    timeout: 60_000,
  }, async (test) => {
    const repository = await repositoryOf(test);
    const files: Files = new Map([['data/large', randomBytes(24 * MIB)]]);
    const first = await takeBackup(repository, files, null);
    const changed = Buffer.from(files.get('data/large')!);
    for (let page = 0; page < changed.length / PAGE; page += 2) changed[page * PAGE]! ^= 1;
    files.set('data/large', changed);
    const second = await takeBackup(repository, files, first.root);
    assert.equal(second.newBytes, 12 * MIB);
    await assertHolds(repository, second.root, files);
  });

  it('is right whatever happens to the files, and has the fingerprints of a backup that knew nothing older', async (test) => {
    const seed = Number(process.env.HOLDFAST_SEED ?? randomBytes(4).readUInt32LE());
    test.diagnostic(`seed ${seed}`);
    const random = seededRandom(seed);
    const repository = await repositoryOf(test);
    const files: Files = new Map();
    for (const [i, pages] of [0, 1, 2, 100, 128, 129, 1024, 1300].entries())
      files.set(`data/${i}`, random.bytes(pages * PAGE));
    files.set('data/words', random.bytes(3 * MIB + 5));
    let over: string | null = null;
    for (let round = 0; round < 4; round++) {
      const { root } = await takeBackup(repository, files, over);
      await assertHolds(repository, root, files);
      const alone = await takeBackup(repository, files, null);
      const [found, expected] = [await readBackup(repository, root), await readBackup(repository, alone.root)];
      assert.deepEqual(fingerprintsOf(found), fingerprintsOf(expected));
      over = root;
      changeAnything(files, random);
    }
  });
});

describe('rule A1: damage does not survive the next full backup', () => {
  it('stores anew what lies in a damaged pack, data and maps, and the older backup heals with it', async (test) => {
    const { repository, store } = await createRepository(test);
    const files: Files = new Map([
      ['data/large', randomBytes(10 * MIB)],
      ['data/small', randomBytes(2 * PAGE)],
    ]);
    const first = await takeBackup(repository, files, null);
    const damaged = await damagePacks(repository, new Set());
    assert.equal(damaged.size, 2, 'one of data, one of the tree');
    const second = await takeBackup(repository, files, first.root);
    assert.deepEqual([second.newBytes, second.unchangedBytes], [10 * MIB + 2 * PAGE, 0]);
    // From here on, what is damaged is of no use to anybody.
    for (const name of damaged) await store.delete(name);
    assert.equal(second.root, first.root);
    await assertHolds(repository, first.root, files);
  });

  it('stores anew the slots of which a changed page was lost, and no others', async (test) => {
    const { repository, store } = await createRepository(test);
    const files: Files = new Map([['data/large', randomBytes(6 * MIB)]]);
    const first = await takeBackup(repository, files, null);
    const sound = await packNames(store);
    for (const page of [1, 129, 130]) changePage(files, 'data/large', page);
    const second = await takeBackup(repository, files, first.root);
    const damaged = await damagePacks(repository, sound);
    const third = await takeBackup(repository, files, second.root);
    assert.equal(third.newBytes, 2 * MIB);
    for (const name of damaged) await store.delete(name);
    await assertHolds(repository, third.root, files);
  });
});

async function packNames(store: ObjectStore): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { name } of store.list('packs/')) names.add(name);
  return names;
}

/** Records that all packs but these are damaged; gives their names. */
async function damagePacks(repository: Repository, sound: ReadonlySet<string>): Promise<Set<string>> {
  const damaged = new Set([...(await packNames(repository.store))].filter((name) => !sound.has(name)));
  for (const name of damaged) await recordDamage(repository, Buffer.from(name.slice('packs/'.length), 'hex'), {});
  return damaged;
}
