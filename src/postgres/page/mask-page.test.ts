import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { maskLostRanges, maskPage, maskSequence, type PageKind, pageKindOf } from './mask-page.ts';

const LOWER = 24 + 4 * 2;
const UPPER = 7000;

/** A page with two rows, and what tells its kind at its end. */
function pageOf(special: number, write: (page: Buffer, special: number) => void = () => {}): Buffer {
  const page = Buffer.alloc(8192);
  const at = 8192 - special;
  page.writeUInt16LE(LOWER, 12);
  page.writeUInt16LE(UPPER, 14);
  page.writeUInt16LE(at, 16);
  page.writeUInt16LE(8192 | 4, 18);
  // Two rows of 41 bytes, at places that are multiples of eight.
  page.writeUInt32LE((UPPER | (1 << 15) | (41 << 17)) >>> 0, 24);
  page.writeUInt32LE(((UPPER + 48) | (1 << 15) | (41 << 17)) >>> 0, 28);
  page.fill(0x11, UPPER, UPPER + 41);
  page.fill(0x22, UPPER + 48, UPPER + 48 + 41);
  page.writeUInt16LE(0, UPPER + 20);
  write(page, at);
  return page;
}

const pages: Readonly<Record<Exclude<PageKind, 'unknown'>, Buffer>> = {
  heap: pageOf(0),
  btree: pageOf(16, (page, at) => page.writeUInt16LE(1, at + 12)),
  hash: pageOf(16, (page, at) => {
    page.writeUInt16LE(2, at + 12);
    page.writeUInt16LE(0xff80, at + 14);
  }),
  gist: pageOf(16, (page, at) => {
    page.writeUInt16LE(1, at + 12);
    page.writeUInt16LE(0xff81, at + 14);
  }),
  gin: pageOf(8, (page, at) => page.writeUInt16LE(2, at + 6)),
  spgist: pageOf(8, (page, at) => page.writeUInt16LE(0xff82, at + 6)),
  brin: pageOf(8, (page, at) => page.writeUInt16LE(0xf093, at + 6)),
  sequence: pageOf(8, (page, at) => page.writeUInt32LE(0x1717, at)),
};

function areEqualMasked(page: Buffer, change: (page: Buffer, special: number) => void): boolean {
  const [one, other] = [Buffer.from(page), Buffer.from(page)];
  change(other, page.readUInt16LE(16));
  maskPage(one, 70_000);
  maskPage(other, 70_000);
  return one.equals(other);
}

/** Sets and clears every bit of a byte. */
const turn =
  (at: number, bits = 0xff) =>
  (page: Buffer) => {
    page[at] = page[at]! ^ bits;
  };

describe('masking a page', () => {
  it('tells by what access method it was written', () => {
    for (const [kind, page] of Object.entries(pages)) assert.equal(pageKindOf(page), kind);
    assert.equal(pageKindOf(Buffer.alloc(8192)), 'unknown');
    assert.equal(pageKindOf(pageOf(24)), 'unknown');
  });

  it('lets position, checksum and the hole differ in every kind, and no byte of a row', () => {
    for (const [kind, page] of Object.entries(pages)) {
      for (const at of [0, 7, 8, 9, LOWER, UPPER - 1]) assert.ok(areEqualMasked(page, turn(at)), `${kind} at ${at}`);
      for (const at of [12, 18, UPPER + 30, UPPER + 40, UPPER + 60]) {
        assert.ok(!areEqualMasked(page, turn(at, at === 12 ? 4 : 1)), `${kind} at ${at}`);
      }
    }
  });

  it('lets hints of the header differ, but in a sequence', () => {
    for (const [kind, page] of Object.entries(pages)) {
      for (const change of [turn(10, 7), turn(20)])
        assert.equal(areEqualMasked(page, change), kind !== 'sequence', kind);
    }
  });

  it('lets flags of line pointers differ where an index sets them without a record', () => {
    const killed = (page: Buffer) => page.writeUInt32LE((page.readUInt32LE(24) | (3 << 15)) >>> 0, 24);
    for (const [kind, page] of Object.entries(pages)) {
      assert.equal(areEqualMasked(page, killed), ['btree', 'hash', 'gist'].includes(kind), kind);
    }
    const inner = Buffer.from(pages.btree);
    inner.writeUInt16LE(0, 8192 - 16 + 12);
    assert.ok(!areEqualMasked(inner, killed));
  });

  it("lets a row's hints differ: all of them while it is not frozen, those of its end afterwards", () => {
    const { heap } = pages;
    assert.ok(areEqualMasked(heap, turn(UPPER + 21, 0x0d)));
    assert.ok(!areEqualMasked(heap, turn(UPPER + 20, 0x01)));
    const frozen = Buffer.from(heap);
    frozen.writeUInt16LE(0x0300, UPPER + 20);
    assert.ok(areEqualMasked(frozen, turn(UPPER + 21, 0x0c)));
    assert.ok(!areEqualMasked(frozen, turn(UPPER + 21, 0x20)));
    // Who ended the row counts, the number of the command does not, nor what fills the row up.
    assert.ok(!areEqualMasked(heap, turn(UPPER + 4)));
    assert.ok(areEqualMasked(heap, turn(UPPER + 8)));
    assert.ok(areEqualMasked(heap, turn(UPPER + 41)));
  });

  it('takes a row that points to itself and one of which the insertion is not confirmed for the same', () => {
    const confirmed = (page: Buffer) => {
      page.writeUInt16LE(1, UPPER + 12);
      page.writeUInt16LE(70_000 & 0xffff, UPPER + 14);
      page.writeUInt16LE(1, UPPER + 16);
    };
    const page = Buffer.from(pages.heap);
    page.writeUInt16LE(0xfffe, UPPER + 16);
    assert.ok(areEqualMasked(page, confirmed));
    assert.ok(!areEqualMasked(pages.heap, confirmed));
  });

  it('lets what each index does not log differ', () => {
    const of = (at: number, bits: number) => (page: Buffer, special: number) => turn(special + at, bits)(page);
    assert.ok(areEqualMasked(pages.btree, of(12, 0x60)), 'garbage and the end of a split');
    assert.ok(areEqualMasked(pages.btree, of(14, 0xff)), 'the number of a vacuum');
    assert.ok(!areEqualMasked(pages.btree, of(12, 0x04)));
    assert.ok(areEqualMasked(pages.hash, of(12, 0x80)), 'dead rows');
    assert.ok(!areEqualMasked(pages.hash, of(8, 0x01)));
    assert.ok(areEqualMasked(pages.gist, of(0, 0xff)), 'the number of a split');
    assert.ok(areEqualMasked(pages.gist, of(12, 0x18)), 'garbage and a split that is not finished');
    assert.ok(!areEqualMasked(pages.gist, of(8, 0x01)));
    assert.ok(areEqualMasked(pages.brin, of(4, 0x01)), 'a page that is being emptied');
    const first = Buffer.from(pages.spgist);
    first.writeUInt16LE(1, 8192 - 8);
    first.writeUInt16LE(100, 12);
    assert.ok(areEqualMasked(first, turn(40)), 'where there was room last');
    assert.ok(!areEqualMasked(first, turn(24)));
    assert.ok(!areEqualMasked(pages.spgist, turn(24)));
    const deleted = Buffer.from(pages.gin);
    deleted.writeUInt16LE(4, 8192 - 8 + 6);
    assert.ok(areEqualMasked(deleted, turn(UPPER + 30)));
  });

  it('lets the number of a sequence differ only where pages were replayed', () => {
    const sequence = Buffer.from(pages.sequence);
    sequence[UPPER + 22] = 24;
    assert.ok(!areEqualMasked(sequence, turn(UPPER + 24)));
    const other = Buffer.from(sequence);
    turn(UPPER + 24)(other);
    turn(UPPER + 40)(other);
    for (const page of [sequence, other]) maskSequence(page);
    assert.ok(other.equals(sequence));
  });

  it('forgives a map of a BRIN index the entries that one of two states lacks, and no other difference', () => {
    const map = (...entries: readonly string[]) =>
      pageOf(8, (page, at) => {
        page.writeUInt16LE(24, 12);
        page.fill(0, 24, at);
        for (const [i, entry] of entries.entries()) page.write(entry, 24 + i * 6, 'hex');
        page.writeUInt16LE(0xf092, at + 6);
      });
    const [none, first, second] = ['000000000000', '000002000100', '000002000200'];
    const isForgiven = (one: Buffer, other: Buffer) => {
      maskLostRanges(one, other);
      return one.equals(other);
    };
    assert.ok(isForgiven(map(none!, second!), map(first!, second!)));
    assert.ok(isForgiven(map(first!, none!), map(none!, second!)));
    assert.ok(!isForgiven(map(first!, second!), map(second!, second!)), 'two entries that say different things');
    const [one, other] = [Buffer.from(pages.brin), Buffer.from(pages.brin)];
    other.fill(0, UPPER, UPPER + 6);
    assert.ok(!isForgiven(one, other), 'a page of summaries is no map');
  });
});
