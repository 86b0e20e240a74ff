import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { comparePaths, type FileContent, type TreeEntry } from '../../repository/index.ts';
import { EntryTable } from './entry-table.ts';

const path = fc
  .array(fc.string({ unit: fc.constantFrom(...'ab_.é😀'), minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
const head = { path, mode: fc.integer({ min: 0, max: 0xffffffff }), mtimeMs: fc.maxSafeNat() };
const id = fc.constant(null).map(() => randomBytes(32));
const content: fc.Arbitrary<FileContent> = fc.oneof(
  fc.record({ form: fc.constant('split' as const), leaves: fc.array(id, { maxLength: 3 }) }, { noNullPrototype: true }),
  fc
    .record(
      { id, length: fc.integer({ min: 1, max: 1 << 20 }), pages: fc.option(fc.integer({ min: 0, max: 3 })) },
      { noNullPrototype: true },
    )
    .map(({ id, length, pages }) => {
      const fingerprints = pages === null ? null : randomBytes(pages * 8);
      return {
        form: 'inline' as const,
        map: { extents: [{ form: 'chunk' as const, id, offset: 0, length }], fingerprints },
      };
    }),
);
const entry: fc.Arbitrary<TreeEntry> = fc.oneof(
  fc.record({ ...head, type: fc.constant('directory' as const) }, { noNullPrototype: true }),
  fc.record({ ...head, type: fc.constant('link' as const), target: path }, { noNullPrototype: true }),
  fc.record({ ...head, type: fc.constant('file' as const), size: fc.maxSafeNat(), content }, { noNullPrototype: true }),
);
const entries = fc.uniqueArray(entry, { selector: ({ path }) => path, maxLength: 40 });

function tableOf(entries: readonly TreeEntry[]): EntryTable {
  const table = new EntryTable();
  // The maps become known later than the rows, and in any order.
  const later: (() => void)[] = [];
  for (const entry of entries) {
    if (entry.type !== 'file') table.addOther(entry);
    else {
      const row = table.addFile(entry);
      table.setReceived(row, { size: entry.size, crc32c: entry.size % 2 ** 32 });
      later.unshift(() => table.setContent(row, entry.content));
    }
  }
  for (const set of later) set();
  return table;
}

describe('table of received entries', () => {
  it('gives back every entry, in the order of a tree', () => {
    fc.assert(
      fc.property(entries, (entries) => {
        const expected = entries.toSorted((a, b) => comparePaths(a.path, b.path));
        assert.deepEqual([...tableOf(entries).sorted()], expected);
      }),
    );
  });

  it('finds files by their paths, and nothing else', () => {
    fc.assert(
      fc.property(entries, path, (entries, other) => {
        const table = tableOf(entries);
        const sorted = table.sortedRows();
        for (const [row, { path, type }] of entries.entries()) {
          assert.equal(table.findFile(Buffer.from(path), sorted), type === 'file' ? row : null);
          assert.equal(table.hasFile(path), type === 'file');
        }
        const known = entries.some(({ path, type }) => path === other && type === 'file');
        assert.equal(table.findFile(Buffer.from(other), sorted) !== null, known);
      }),
    );
  });

  it('keeps hundreds of thousands of rows and entries that are larger than its blocks', () => {
    const table = new EntryTable();
    const leaves = Array.from({ length: 40_000 }, () => randomBytes(32));
    const large = table.addFile({ path: 'large', mode: 0o600, mtimeMs: 1 });
    table.setContent(large, { form: 'split', leaves });
    for (let i = 0; i < 200_000; i++) {
      const row = table.addFile({ path: `data/base/5/${i}`, mode: 0o600, mtimeMs: i });
      table.setReceived(row, { size: i, crc32c: i });
    }
    const found = table.entryOf(large);
    assert.ok(found.type === 'file' && found.content.form === 'split');
    assert.deepEqual(found.content.leaves, leaves);
    assert.equal(table.pathOf(150_001), 'data/base/5/150000');
    assert.deepEqual(table.receivedOf(150_001), { size: 150_000, crc32c: 150_000 });
    assert.equal(table.findFile(Buffer.from('data/base/5/199999'), table.sortedRows()), 200_000);
  });

  it('has no entry of a file whose map is not known', () => {
    const table = new EntryTable();
    const row = table.addFile({ path: 'a', mode: 0o600, mtimeMs: 0 });
    assert.throws(() => table.entryOf(row), /contents of "a"/);
  });
});
