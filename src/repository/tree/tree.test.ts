import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../../lib/index.ts';
import { CHUNK_BYTES_MAX } from '../pack/index.ts';
import { findDifferingPages, readPage } from './differing-pages.ts';
import { comparePaths, type FileEntry, isTreePath, type TreeEntry } from './entry.ts';
import { decodeFileMap, type Extent, encodeFileMap, type FileMap, MAP_LEAF_BYTES, mapLength } from './file-map.ts';
import { decodeNode, encodeChild, encodeEntry, encodeNode } from './node.ts';
import { findEntry, readFileMap, readTree } from './read-tree.ts';
import { type TreeSummary, TreeWriter } from './tree-writer.ts';

/** A place for chunks that counts what is fetched from it. */
class Chunks {
  readonly stored = new Map<string, Buffer>();
  fetched = 0;

  readonly store = async (raw: Uint8Array): Promise<Buffer> => {
    assert.ok(raw.length <= CHUNK_BYTES_MAX, `${raw.length} bytes in one chunk`);
    const id = createHash('sha256').update(raw).digest();
    this.stored.set(id.toString('hex'), Buffer.from(raw));
    return id;
  };

  readonly fetch = async (id: Uint8Array): Promise<Buffer> => {
    this.fetched += 1;
    const chunk = this.stored.get(Buffer.from(id).toString('hex'));
    if (chunk === undefined) throw new HoldfastError('CHUNK_ABSENT', 'no such chunk');
    return chunk;
  };
}

async function write(entries: readonly TreeEntry[], chunks = new Chunks()): Promise<TreeSummary> {
  const writer = new TreeWriter(chunks.store);
  for (const entry of entries) await writer.add(entry);
  return writer.finish();
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function file(path: string, size = 100): FileEntry {
  const map: FileMap = { extents: size === 0 ? [] : [{ form: 'zero', length: size }], fingerprints: null };
  return { type: 'file', path, mode: 0o100600, mtimeMs: 1_700_000_000_000, size, content: { form: 'inline', map } };
}

function sorted(entries: readonly TreeEntry[]): TreeEntry[] {
  return [...new Map(entries.map((entry) => [entry.path, entry])).values()].sort((a, b) =>
    comparePaths(a.path, b.path),
  );
}

const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const u32 = fc.integer({ min: 0, max: 0xffffffff });

const extent: fc.Arbitrary<Extent> = fc.oneof(
  fc.record({ form: fc.constant('zero' as const), length: u32 }, { noNullPrototype: true }),
  fc.record({ form: fc.constant('chunk' as const), length: u32, id, offset: u32 }, { noNullPrototype: true }),
);

const fileMap: fc.Arbitrary<FileMap> = fc.record(
  {
    extents: fc.array(extent, { maxLength: 6 }),
    fingerprints: fc.option(fc.integer({ min: 0, max: 9 }).map((count) => randomBytes(count * 8))),
  },
  { noNullPrototype: true },
);

const part = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'ab/._-é😀\uFFFD'), minLength: 1, maxLength: 12 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 5 }),
);
const path = fc
  .array(part, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
  .filter(isTreePath);

const entry: fc.Arbitrary<TreeEntry> = fc
  .record({
    path,
    mode: u32,
    mtimeMs: fc.maxSafeNat(),
    size: fc.maxSafeNat(),
    target: fc.string({ unit: 'grapheme' }),
    map: fileMap,
    leaves: fc.array(id, { maxLength: 4 }),
    form: fc.constantFrom('inline', 'split', 'directory', 'link'),
  })
  .map(({ form, map, leaves, size, target, ...head }): TreeEntry => {
    const { path: entryPath, mode, mtimeMs } = head;
    if (form === 'directory') return { type: 'directory', path: entryPath, mode, mtimeMs };
    if (form === 'link') return { type: 'link', path: entryPath, mode, mtimeMs, target };
    const content = form === 'inline' ? ({ form, map } as const) : ({ form: 'split', leaves } as const);
    // All sizes of one tree have to fit into a number together.
    return { type: 'file', path: entryPath, mode, mtimeMs, size: Math.floor(size / 1000), content };
  });

describe('a file map', () => {
  it('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(fileMap, (map) => {
        const encoded = encodeFileMap(map);
        assert.deepEqual(decodeFileMap(encoded), map);
        assert.deepEqual(encodeFileMap(decodeFileMap(encoded)), encoded);
      }),
    );
  });

  it('is the bytes that the format states', () => {
    const map: FileMap = {
      extents: [
        { form: 'zero', length: 8192 },
        { form: 'chunk', length: 16, id: Buffer.alloc(32, 0xcc), offset: 3 },
      ],
      fingerprints: Buffer.alloc(8, 0xff),
    };
    const expected = `01 01 0000 02000000 00200000 00 10000000 01 ${'cc'.repeat(32)} 03000000 01000000 ${'ff'.repeat(8)}`;
    assert.equal(encodeFileMap(map).toString('hex'), expected.replaceAll(' ', ''));
    assert.equal(mapLength(map), 8208);
  });

  it('is refused, not misread, when it is cut, prolonged or random', () => {
    fc.assert(
      fc.property(fileMap, (map) => {
        const encoded = encodeFileMap(map);
        for (let length = 0; length < encoded.length; length++) {
          assert.throws(() => decodeFileMap(encoded.subarray(0, length)), { code: 'TREE_INVALID' });
        }
        assert.throws(() => decodeFileMap(Buffer.concat([encoded, Buffer.of(0)])), { code: 'TREE_INVALID' });
      }),
      { numRuns: 20 },
    );
  });
});

describe('a node', () => {
  it('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
        const ordered = sorted(entries);
        assert.deepEqual(decodeNode(encodeNode('leaf', ordered.map(encodeEntry))), { type: 'leaf', entries: ordered });
        const children = ordered.map(({ path: firstPath }, i) => ({
          firstPath,
          id: randomBytes(32),
          files: i,
          bytes: i * 7,
        }));
        assert.deepEqual(decodeNode(encodeNode('inner', children.map(encodeChild))), { type: 'inner', children });
      }),
    );
  });

  it('is refused with a path that would lead out of where it is restored', () => {
    for (const astray of ['', '/etc/passwd', '../x', 'data/../../x', 'a//b', './a', 'a/.', 'a\0b', 'a/']) {
      assert.equal(isTreePath(astray), false);
      assert.throws(() => decodeNode(encodeNode('leaf', [encodeEntry(file(astray))])), { code: 'TREE_INVALID' });
    }
    assert.equal(isTreePath('\ud800'), false);
    assert.ok(['data/base/1/1259', '..a', 'a..', '.hidden', 'ä/ö'].every(isTreePath));
  });

  it('is refused when its paths are out of order or stand twice', () => {
    for (const paths of [
      ['b', 'a'],
      ['a', 'a'],
    ]) {
      assert.throws(
        () =>
          decodeNode(
            encodeNode(
              'leaf',
              paths.map((name) => encodeEntry(file(name))),
            ),
          ),
        { code: 'TREE_INVALID' },
      );
    }
  });

  it('is refused, not misread, when it is made of random bytes', () => {
    const starts = [Buffer.alloc(0), Buffer.from('0101000001000000', 'hex'), Buffer.from('0102000001000000', 'hex')];
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 200 }), (start, bytes) => {
        try {
          decodeNode(Buffer.concat([start, bytes]));
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'TREE_INVALID');
        }
      }),
    );
  });
});

describe('a tree', () => {
  it('gives back any entries in the order of their paths, and counts files and bytes', async () => {
    const property = fc.asyncProperty(fc.array(entry, { maxLength: 60 }), async (entries) => {
      const ordered = sorted(entries);
      const chunks = new Chunks();
      const { root, files, bytes } = await write(ordered, chunks);
      assert.deepEqual(await collect(readTree(root, chunks.fetch)), ordered);
      const regular = ordered.filter((item) => item.type === 'file');
      assert.deepEqual([files, bytes], [regular.length, regular.reduce((sum, { size }) => sum + size, 0)]);
    });
    await fc.assert(property, { numRuns: 50 });
  });

  it('finds entries by prefix and by path without reading the rest', async () => {
    const entries = Array.from({ length: 5000 }, (_, i) => file(`data/base/${i % 7}/${String(i).padStart(6, '0')}`));
    const ordered = sorted([...entries, file('meta/backup_manifest'), file('space/1/x')]);
    const chunks = new Chunks();
    const { root } = await write(ordered, chunks);
    for (const prefix of ['', 'data/base/3/', 'data/base/3', 'meta/', 'space', 'zzz', 'data/base/6/004', 'd']) {
      const expected = ordered.filter(({ path: name }) => name.startsWith(prefix));
      assert.deepEqual(await collect(readTree(root, chunks.fetch, { prefix })), expected);
    }
    chunks.fetched = 0;
    assert.deepEqual(await findEntry(root, 'meta/backup_manifest', chunks.fetch), file('meta/backup_manifest'));
    assert.ok(chunks.fetched <= 4, `${chunks.fetched} nodes read for one file`);
    assert.equal(await findEntry(root, 'meta/backup', chunks.fetch), null);
    assert.equal(await findEntry(root, 'data/base', chunks.fetch), null);
  });

  it('of nothing has a root', async () => {
    const chunks = new Chunks();
    const { root, files, bytes } = await write([], chunks);
    assert.deepEqual([files, bytes], [0, 0]);
    assert.deepEqual(await collect(readTree(root, chunks.fetch)), []);
  });

  it('is the same for the same entries', async () => {
    const entries = Array.from({ length: 3000 }, (_, i) => file(`data/${String(i).padStart(6, '0')}`));
    assert.deepEqual(await write(entries), await write(entries));
  });

  it('shares all but a few nodes with the tree before a file was added, removed or changed', async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => file(`data/base/16384/${String(i).padStart(6, '0')}`));
    const before = new Chunks();
    await write(entries, before);
    assert.ok(before.stored.size > 40, `${before.stored.size} nodes`);
    const middle = entries.length / 2;
    const changes = {
      added: [...entries.slice(0, middle), file('data/base/16384/009999_vm'), ...entries.slice(middle)],
      removed: entries.toSpliced(middle, 1),
      changed: entries.with(middle, file(entries[middle]!.path, 999)),
    };
    for (const [change, changed] of Object.entries(changes)) {
      const after = new Chunks();
      await write(changed, after);
      const fresh = [...after.stored.keys()].filter((key) => !before.stored.has(key));
      assert.ok(fresh.length <= 5, `${fresh.length} of ${after.stored.size} nodes are new when a file is ${change}`);
    }
  });

  it('ends at one root also where every path is one that ends a node', async () => {
    const ending: string[] = [];
    for (let i = 0; ending.length < 40; i++) {
      const name = `f${String(i).padStart(6, '0')}`;
      if (createHash('sha256').update(name).digest()[0] === 0) ending.push(name);
    }
    for (const count of [1, 2, 3, 7, 40]) {
      const chunks = new Chunks();
      const entries = ending.slice(0, count).map((name) => file(name));
      const { root } = await write(entries, chunks);
      assert.deepEqual(await collect(readTree(root, chunks.fetch)), entries);
      assert.ok(chunks.stored.size <= 2 * count + 2, `${chunks.stored.size} nodes for ${count} entries`);
    }
  });

  it('keeps each node within a chunk, however long the paths and maps', async () => {
    const entries = Array.from({ length: 300 }, (_, i): TreeEntry => {
      const name = `${String(i).padStart(5, '0')}/${'x'.repeat(4000)}`;
      const leaves = Array.from({ length: 1000 }, () => Buffer.alloc(32, i));
      return { ...file(name, 8_000_000_000), content: { form: 'split', leaves } };
    });
    const chunks = new Chunks();
    const { root } = await write(entries, chunks);
    assert.deepEqual(await collect(readTree(root, chunks.fetch)), entries);
    const huge = Array.from({ length: 16_384 }, () => Buffer.alloc(32));
    await assert.rejects(write([{ ...file('huge'), content: { form: 'split', leaves: huge } }]), {
      code: 'TREE_ENTRY_TOO_LARGE',
    });
  });

  it('takes entries in their order only', async () => {
    await assert.rejects(write([file('b'), file('a')]), { name: 'AssertionFailed' });
    await assert.rejects(write([file('a'), file('a')]), { name: 'AssertionFailed' });
    // As text "\u{1F600}" stands before "\uFFFD"; as bytes behind it.
    await write([file('\uFFFD'), file('\u{1F600}')]);
    await assert.rejects(write([file('\u{1F600}'), file('\uFFFD')]), { name: 'AssertionFailed' });
  });

  it('is refused when its nodes are in another order than their first paths say, or turn in a circle', async () => {
    const chunks = new Chunks();
    const leaf = async (...names: string[]) =>
      chunks.store(
        encodeNode(
          'leaf',
          names.map((name) => encodeEntry(file(name))),
        ),
      );
    const child = async (firstPath: string, childId: Promise<Buffer>) =>
      encodeChild({ firstPath, id: await childId, files: 1, bytes: 1 });
    const crossed = encodeNode('inner', [await child('a', leaf('a', 'z')), await child('b', leaf('b'))]);
    const root = (await chunks.store(crossed)).toString('hex');
    await assert.rejects(collect(readTree(root, chunks.fetch)), { code: 'TREE_INVALID' });
    let inner = leaf('a');
    for (let depth = 0; depth < 70; depth++) inner = chunks.store(encodeNode('inner', [await child('a', inner)]));
    await assert.rejects(collect(readTree((await inner).toString('hex'), chunks.fetch)), { code: 'TREE_INVALID' });
  });
});

describe('the map of a file', () => {
  it('comes in parts, from the entry or from map leaves', async () => {
    const chunks = new Chunks();
    const maps: FileMap[] = [1, 2, 3].map((i) => ({
      extents: [{ form: 'zero', length: i * 1000 }],
      fingerprints: randomBytes(8),
    }));
    const leaves: Buffer[] = [];
    for (const map of maps) leaves.push(await chunks.store(encodeFileMap(map)));
    const split: FileEntry = { ...file('a', 6000), content: { form: 'split', leaves } };
    assert.deepEqual(await collect(readFileMap(split, chunks.fetch)), maps);
    assert.deepEqual(await collect(readFileMap(file('b', 5), chunks.fetch)), [
      { extents: [{ form: 'zero', length: 5 }], fingerprints: null },
    ]);
  });

  it('is refused when it does not add up to the size of the file', async () => {
    const chunks = new Chunks();
    for (const size of [4, 6]) {
      await assert.rejects(collect(readFileMap({ ...file('a', 5), size }, chunks.fetch)), { code: 'TREE_INVALID' });
    }
  });
});

describe('pages that differ between two trees', () => {
  const PAGE = 8192;
  const LEAF_PAGES = MAP_LEAF_BYTES / PAGE;

  /** Each page is a chunk of its own; its fingerprint is its number among all that were made. */
  const mapOf = async (chunks: Chunks, pages: readonly number[]): Promise<FileMap> => ({
    extents: await Promise.all(
      pages.map(async (page) => {
        const id = await chunks.store(Buffer.alloc(PAGE, page));
        return { form: 'chunk' as const, length: PAGE, id, offset: 0 };
      }),
    ),
    fingerprints: Buffer.from(BigUint64Array.from(pages, BigInt).buffer),
  });

  const directory = (path: string): TreeEntry => ({ type: 'directory', path, mode: 0o40700, mtimeMs: 0 });

  /** A file of pages: in its entry, or in leaves when it has several parts. */
  const paged = async (chunks: Chunks, path: string, ...parts: (readonly number[])[]): Promise<FileEntry> => {
    const maps = await Promise.all(parts.map((pages) => mapOf(chunks, pages)));
    const size = maps.reduce((bytes, map) => bytes + mapLength(map), 0);
    if (maps.length < 2) return { ...file(path, size), content: { form: 'inline', map: maps[0]! } };
    const leaves = await Promise.all(maps.map((map) => chunks.store(encodeFileMap(map))));
    return { ...file(path, size), content: { form: 'split', leaves } };
  };

  const compare = async (chunks: Chunks, older: readonly TreeEntry[], newer: readonly TreeEntry[]) => {
    const [one, other] = [await write(sorted(older), chunks), await write(sorted(newer), chunks)];
    return collect(findDifferingPages(one.root, other.root, chunks.fetch, (path) => !path.endsWith('_fsm')));
  };

  const places = (found: Awaited<ReturnType<typeof compare>>) =>
    found.map(({ path, firstPage, pages }) => [path, pages.map((page) => firstPage + page)]);

  it('are told with those that only the newer one has: behind the end of a file, in map leaves and in files of their own', async () => {
    const chunks = new Chunks();
    const full = Array.from({ length: LEAF_PAGES }, (_, page) => page % 7);
    const found = await compare(
      chunks,
      [
        directory('5'),
        await paged(chunks, '5/1', [1, 2, 3]),
        await paged(chunks, '5/2', [1, 2]),
        await paged(chunks, '5/4', full, [1]),
        await paged(chunks, '5/5', []),
        await paged(chunks, '5/9', [1]),
        await paged(chunks, '5/9_fsm', [1]),
      ],
      [
        directory('5'),
        await paged(chunks, '5/1', [1, 9, 3]),
        await paged(chunks, '5/2', [1, 2, 3, 4]),
        await paged(chunks, '5/3', [1]),
        await paged(chunks, '5/4', full, full, [1, 2]),
        await paged(chunks, '5/5', [6]),
        await paged(chunks, '5/9_fsm', [2]),
      ],
    );
    const second = Array.from({ length: LEAF_PAGES - 1 }, (_, i) => LEAF_PAGES + 1 + i);
    assert.deepEqual(places(found), [
      ['5/1', [1]],
      ['5/2', [2, 3]],
      ['5/3', [0]],
      ['5/4', [LEAF_PAGES, ...second]],
      ['5/4', [2 * LEAF_PAGES, 2 * LEAF_PAGES + 1]],
      ['5/5', [0]],
    ]);
    const [, longer] = found;
    assert.ok((await readPage(longer!.newer, 3, chunks.fetch)).equals(Buffer.alloc(PAGE, 4)));
    assert.ok((await readPage(longer!.older, 3, chunks.fetch)).equals(Buffer.alloc(PAGE)), 'zeros behind the end');
  });

  it('are not looked for in directories that only the newer one has, nor in files that are no pages', async () => {
    const chunks = new Chunks();
    const older = [directory('5'), file('5/1', 100)];
    const newer = [directory('5'), file('5/0', 50), await paged(chunks, '5/1', [1]), directory('6')];
    assert.deepEqual(places(await compare(chunks, older, [...newer, await paged(chunks, '6/1', [1])])), []);
  });
});
