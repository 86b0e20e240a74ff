import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  BLOCK_BYTES,
  isNewPage,
  isPageChecksumRight,
  isPageHeaderPlausible,
  isUnusedPage,
  pageChecksum,
  parsePageHeader,
} from './page.ts';

/** A page as the server lays it out, filled with `seed`. */
function makePage(seed: number): Buffer {
  const page = Buffer.alloc(BLOCK_BYTES, seed);
  page.writeUInt32LE(0x16, 0);
  page.writeUInt32LE(0xb374d848, 4);
  page.writeUInt16LE(0, 8);
  page.writeUInt16LE(0, 10);
  page.writeUInt16LE(24, 12);
  page.writeUInt16LE(4096, 14);
  page.writeUInt16LE(BLOCK_BYTES, 16);
  page.writeUInt16LE(BLOCK_BYTES | 4, 18);
  page.writeUInt32LE(0, 20);
  return page;
}

describe('data page', () => {
  it('tells its LSN and layout', () => {
    const header = parsePageHeader(makePage(7));
    assert.equal(header.lsn, 0x16b374d848n);
    assert.equal(header.upper, 4096);
    assert.equal(header.pageSize, BLOCK_BYTES);
    assert.ok(isPageHeaderPlausible(header));
    assert.equal(isPageHeaderPlausible({ ...header, lower: 5000 }), false);
    assert.equal(isPageHeaderPlausible({ ...header, special: 9000 }), false);
  });

  it('has a checksum that notices every changed byte, and a page in the place of another', () => {
    const page = makePage(3);
    page.writeUInt16LE(pageChecksum(page, 77), 8);
    assert.ok(isPageChecksumRight(page, 77));
    assert.equal(isPageChecksumRight(page, 78), false);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: BLOCK_BYTES - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(page);
        damaged[at] = damaged[at]! ^ change;
        assert.equal(isPageChecksumRight(damaged, 77), isNewPage(parsePageHeader(damaged)));
      }),
    );
  });

  it('needs no checksum while it is new', () => {
    assert.ok(isPageChecksumRight(Buffer.alloc(BLOCK_BYTES), 5));
  });

  it('is unused as long as nothing but its header was ever written', () => {
    const page = Buffer.alloc(BLOCK_BYTES);
    assert.ok(isUnusedPage(page));
    // PageInit: lower, upper, special, and size with layout version.
    page.writeUInt16LE(24, 12);
    for (const at of [14, 16]) page.writeUInt16LE(BLOCK_BYTES, at);
    page.writeUInt16LE(BLOCK_BYTES | 4, 18);
    assert.ok(isUnusedPage(page));
    for (const at of [3, 12, 14, 16, 24, BLOCK_BYTES - 1]) {
      const used = Buffer.from(page);
      used[at] = used[at]! ^ 1;
      assert.equal(isUnusedPage(used), false, `byte ${at}`);
    }
    assert.equal(isUnusedPage(makePage(7)), false);
  });
});
