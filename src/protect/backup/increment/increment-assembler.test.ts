import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { encodeIncrementFile } from '../../../../test/support/increment-file.ts';
import { createRepository, type TestRepository } from '../../../../test/support/memory-repository.ts';
import { type Random, seededRandom } from '../../../../test/support/seeded-random.ts';
import {
  acquireLease,
  ChunkReader,
  commitSnapshot,
  newSnapshotId,
  readFileMap,
  readTree,
  type SnapshotRecord,
  zeroPageFingerprint,
} from '../../../repository/index.ts';
import { FileAssembler } from '../file-assembler.ts';
import { PreviousFiles } from '../previous/index.ts';
import { type BackupStores, openStores } from '../stages/open-stores.ts';
import { storeTree } from '../stages/store-tree.ts';
import { IncrementAssembler } from './index.ts';

const PAGE = 8192;
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Files by path, each a list of pages; a page is told by a number, and 0 is a page of zeros. */
type Model = Map<string, number[]>;

let drawn = 0;

function pageOf(content: number): Buffer {
  const page = Buffer.alloc(PAGE);
  if (content > 0) for (let at = 0; at < PAGE; at += 64) page.writeUInt32LE(content, at);
  return page;
}

/** A backup on its way into a repository, with the files of an older one. */
class Run {
  readonly #place: TestRepository;
  readonly #base: PreviousFiles | null;
  readonly stores: BackupStores;
  readonly assembler: FileAssembler;
  readonly increment: IncrementAssembler | null;

  private constructor(place: TestRepository, stores: BackupStores, base: PreviousFiles | null) {
    this.#place = place;
    this.#base = base;
    this.stores = stores;
    const storeLeaf = (raw: Uint8Array) => stores.tree.store(raw);
    const parts = { pipeline: stores.ingest, index: stores.index, storeLeaf };
    this.assembler = new FileAssembler(parts);
    const { entries, collector } = this.assembler;
    const zeroFingerprint = zeroPageFingerprint(place.repository.keys.fingerprintKey);
    this.increment =
      base === null
        ? null
        : new IncrementAssembler({
            ...{ entries, base },
            stores: { ...parts, bundler: collector.bundler, zeroFingerprint },
          });
  }

  static async open(test: TestContext, place: TestRepository, base: SnapshotRecord | null): Promise<Run> {
    const { repository } = place;
    const lease = await acquireLease(repository, { purpose: 'backup' });
    test.after(() => lease.release());
    const stores = await openStores({ repository, lease, workers: 1, level: 1 });
    test.after(() => stores[Symbol.asyncDispose]());
    const { index } = stores;
    const { readChunk } = new ChunkReader({ store: repository.store, keys: repository.keys, index });
    const previous = base === null ? null : await PreviousFiles.open({ snapshot: base, index, readChunk });
    return new Run(place, stores, previous);
  }

  async addWhole(path: string, pages: readonly number[]): Promise<void> {
    const previous = this.#base?.find(path) ?? null;
    const head = { path, mode: 0o600, mtimeMs: 1, size: pages.length * PAGE, paged: pages.length > 0 };
    this.assembler.beginFile({ ...head, previous });
    for (const page of pages) await this.assembler.write(pageOf(page));
    this.assembler.endFile();
  }

  async addIncrement(path: string, bytes: Buffer, pieceBytes = 32_768): Promise<void> {
    this.increment!.beginFile({ path, mode: 0o600, mtimeMs: 1 });
    for (let at = 0; at < bytes.length; at += pieceBytes)
      await this.increment!.write(bytes.subarray(at, at + pieceBytes));
    this.increment!.endFile();
  }

  async commit(): Promise<SnapshotRecord> {
    await this.increment?.finish();
    assert.equal(this.increment?.refusal ?? null, null);
    await this.assembler.finish();
    const tree = await storeTree({ stores: this.stores, entries: this.assembler.entries });
    const snapshot = snapshotOf(tree);
    await commitSnapshot(this.#place.repository, snapshot);
    await this.stores[Symbol.asyncDispose]();
    return snapshot;
  }
}

function snapshotOf(tree: SnapshotRecord['tree']): SnapshotRecord {
  const at = new Date().toISOString();
  const wal = { system: '7', lineage: 'ab'.repeat(32), timeline: 1, start: '0/2000028', end: '0/3000000' };
  const stored = { newChunks: 0, newBytes: 0, storedBytes: 0 };
  const head = { version: 1 as const, id: newSnapshotId(), kind: 'base-backup' as const, cluster: 'main' };
  return { ...head, writer: 'ab'.repeat(16), startedAt: at, completedAt: at, tree, stored, wal, details: {} };
}

/** Every file of a snapshot, page by page, by its maps and chunks; the fingerprints of equal pages are equal, and of no others. */
async function readBack(place: TestRepository, snapshot: SnapshotRecord): Promise<Model> {
  const { repository } = place;
  const index = await repository.loadIndex();
  const { readChunk } = new ChunkReader({ store: repository.store, keys: repository.keys, index });
  const model: Model = new Map();
  const contentOf = new Map<string, number>();
  const chunks = new Map<string, Buffer>();
  for await (const entry of readTree(snapshot.tree.root, readChunk)) {
    if (entry.type !== 'file') continue;
    const pages: number[] = [];
    for await (const map of readFileMap(entry, readChunk)) {
      const first = pages.length;
      for (const extent of map.extents) {
        const count = extent.length / PAGE;
        if (extent.form === 'zero') {
          pages.push(...new Array<number>(count).fill(0));
          continue;
        }
        const key = extent.id.toString('latin1');
        const chunk = chunks.get(key) ?? (await readChunk(extent.id));
        chunks.set(key, chunk);
        for (let i = 0; i < count; i++) {
          const page = chunk.subarray(extent.offset + i * PAGE, extent.offset + (i + 1) * PAGE);
          const content = page.readUInt32LE(0);
          assert.ok(page.equals(pageOf(content)), 'a page is whole');
          pages.push(content);
        }
      }
      for (let i = first; i < pages.length; i++) {
        const print = map.fingerprints!.toString('latin1', (i - first) * 8, (i - first + 1) * 8);
        assert.equal(contentOf.get(print) ?? pages[i], pages[i], 'equal fingerprints are of equal pages');
        contentOf.set(print, pages[i]!);
      }
    }
    assert.equal(pages.length * PAGE, entry.size);
    model.set(entry.path, pages);
  }
  index.close();
  assert.equal(contentOf.size, new Set(contentOf.values()).size, 'equal pages have equal fingerprints');
  return model;
}

function draw(count: number): number[] {
  return Array.from({ length: count }, () => ++drawn);
}

/** One file's next state, and what a server sends of it, as GetFileBackupMethod decides. */
function change(random: Random, before: readonly number[]) {
  const kept = random.below(3) === 0 ? random.below(before.length + 1) : before.length;
  const grown = random.below(3) === 0 ? random.below(1500) : 0;
  // Pages behind a truncation, or behind the old end, that were never logged are zeros.
  const limit = kept < before.length ? kept : null;
  const after = [...before.slice(0, kept), ...new Array<number>(grown).fill(0)];
  const blocks = new Set<number>();
  const changes = after.length === 0 ? 0 : random.below(random.below(2) === 0 ? 4 : 400);
  for (let i = 0; i < changes; i++) {
    const first = random.below(after.length);
    const run = random.below(5) === 0 ? random.below(200) : 1;
    for (let block = first; block < Math.min(after.length, first + run); block++) blocks.add(block);
  }
  for (const block of blocks) after[block] = ++drawn;
  const sorted = [...blocks].sort((a, b) => a - b);
  const truncationLength = limit === null ? after.length : Math.max(limit, after.length);
  return { after, blocks: sorted, truncationLength };
}

describe(`an increment of files (HOLDFAST_SEED=${seed})`, () => {
  it('makes of a base and of changes the files that the server has, one increment upon the other', async (test) => {
    const random = seededRandom(seed);
    const place = await createRepository(test);
    let model: Model = new Map();
    const sizes = [0, 1, 5, 127, 128, 129, 1023, 1024, 1025, 2100];
    for (const [i, size] of sizes.entries()) model.set(`data/base/5/${1000 + i}`, draw(size));
    const first = await Run.open(test, place, null);
    for (const [path, pages] of model) await first.addWhole(path, pages);
    let base = await first.commit();
    assert.deepEqual(await readBack(place, base), model);
    for (let round = 0; round < 3; round++) {
      const run = await Run.open(test, place, base);
      const next: Model = new Map();
      for (const [path, before] of model) {
        const { after, blocks, truncationLength } = change(random, before);
        // Where nothing was truncated, zeros behind the end of the base come from nowhere; else they would come from the base.
        const stale = after.flatMap((content, block) => (content === 0 && (before[block] ?? 0) !== 0 ? [block] : []));
        const sent = [...new Set([...blocks, ...stale])].sort((a, b) => a - b);
        next.set(path, after);
        if (after.length === 0 || random.below(6) === 0) await run.addWhole(path, after);
        else {
          const pages = sent.map((block) => pageOf(after[block]!));
          await run.addIncrement(path, encodeIncrementFile(sent, truncationLength, pages), 1 + random.below(90_000));
        }
      }
      // A file that does not come is gone, and one that comes for the first time comes whole.
      const created = `data/base/5/${2000 + round}`;
      next.set(created, draw(random.below(300)));
      await run.addWhole(created, next.get(created)!);
      model = new Map([...next].sort(([a], [b]) => (a < b ? -1 : 1)));
      base = await run.commit();
      assert.deepEqual(await readBack(place, base), model, `round ${round}`);
    }
  });

  it('reads and stores nothing of files that did not change', async (test) => {
    const place = await createRepository(test);
    const first = await Run.open(test, place, null);
    const model: Model = new Map([
      ['data/base/5/1', draw(3)],
      ['data/base/5/2', draw(2050)],
    ]);
    for (const [path, pages] of model) await first.addWhole(path, pages);
    const base = await first.commit();
    const run = await Run.open(test, place, base);
    for (const [path, pages] of model) await run.addIncrement(path, encodeIncrementFile([], pages.length, []));
    const snapshot = await run.commit();
    assert.equal(snapshot.tree.root, base.tree.root);
  });

  it('is refused where the base does not have the file, lacks a chunk of it, or what came is no increment', async (test) => {
    const place = await createRepository(test);
    const first = await Run.open(test, place, null);
    for (const path of ['data/base/5/1', 'data/base/5/2'])
      await first.addWhole(path, draw(path.endsWith('1') ? 3 : 1100));
    const base = await first.commit();
    const page = pageOf(7);
    const cases = [
      { path: 'data/base/5/3', bytes: encodeIncrementFile([], 3, []), says: /which the base does not have/ },
      {
        path: 'data/base/5/1',
        bytes: encodeIncrementFile([1], 3, [page], 5),
        says: /cannot be read: invalid increment/,
      },
      { path: 'data/base/5/1', bytes: encodeIncrementFile([1], 3, []), says: /cannot be read: invalid increment/ },
      { path: 'data/base/5/1', bytes: encodeIncrementFile([1], 3, [page]), loses: 'data', says: /has lost a part of/ },
      {
        path: 'data/base/5/2',
        bytes: encodeIncrementFile([1], 1100, [page]),
        loses: 'data',
        says: /has lost a part of/,
      },
      { path: 'data/base/5/1', bytes: encodeIncrementFile([], 3, []), loses: 'data', says: /has lost a part of/ },
      { path: 'data/base/5/2', bytes: encodeIncrementFile([], 1100, []), loses: 'tree', says: /has lost a part of/ },
    ];
    for (const { path, bytes, says, loses } of cases) {
      const run = await Run.open(test, place, base);
      for (const { packId, content } of run.stores.index.listPacks()) {
        if (content === loses) run.stores.index.markDoubtful(packId);
      }
      await run.addIncrement(path, bytes);
      await run.increment!.finish();
      assert.match(run.increment!.refusal!, says);
      // What comes after a refusal is passed over, whatever it is.
      await run.addIncrement('data/base/5/1', Buffer.from('anything'));
      assert.match(run.increment!.refusal!, says);
      await run.assembler.abandon();
    }
  });

  it('tells what was sent of each data file, and what came whole', async (test) => {
    const place = await createRepository(test);
    const first = await Run.open(test, place, null);
    await first.addWhole('data/base/5/1', draw(3));
    const run = await Run.open(test, place, await first.commit());
    await run.addWhole('data/PG_VERSION', []);
    await run.addIncrement('data/base/5/1', encodeIncrementFile([0, 2], 3, [pageOf(1), pageOf(2)]));
    await run.addWhole('space/16400/PG_18_202506291/5/77_vm.1', draw(2));
    await run.increment!.finish();
    const sent = [...run.increment!.sent.list()].map(({ changes, ...rest }) => {
      return { ...rest, changes: changes === null ? null : [[...changes.blocks], changes.truncationLength] };
    });
    const [file, map] = [
      { tablespace: 1663, database: 5, relation: 1, fork: 'main', segment: 0 },
      { tablespace: 16400, database: 5, relation: 77, fork: 'vm', segment: 1 },
    ];
    assert.deepEqual(sent, [
      { file, path: 'data/base/5/1', blockCount: 3, changes: [[0, 2], 3] },
      { file: map, path: 'space/16400/PG_18_202506291/5/77_vm.1', blockCount: 2, changes: null },
    ]);
    await run.assembler.abandon();
  });
});
