import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BLOCK_BYTES, pageChecksum } from './page.ts';
import { PageChecker } from './page-checker.ts';

const PAGES_MAX = 8;
const AT = 65_536;
const memory = new WebAssembly.Memory({ initial: 3, maximum: 3, shared: true });
const checker = new PageChecker(memory);

/** A page of random bytes that is used, has the LSN, and the checksum for its place. */
function makePage(lsn: bigint, block: number): Buffer {
  const page = randomBytes(BLOCK_BYTES);
  page.writeUInt32LE(Number(lsn >> 32n), 0);
  page.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4);
  page.writeUInt16LE(4096, 14);
  page.writeUInt16LE(pageChecksum(page, block), 8);
  return page;
}

function check(pages: readonly Buffer[], block: number, before: bigint) {
  new Uint8Array(memory.buffer, AT).set(Buffer.concat(pages));
  return checker.check({ at: AT, count: pages.length, block }, before);
}

const maxOf = (a: bigint, b: bigint) => (a > b ? a : b);
const anyLsn = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const anyBlock = fc.integer({ min: 0, max: 0xffff_fff0 });

describe('checking pages in memory', () => {
  it('finds the first page whose checksum is not that of the plain arithmetic, and the highest LSN', () => {
    const kinds = fc.constantFrom('sound', 'damaged', 'new');
    const pages = fc.array(fc.record({ lsn: anyLsn, kind: kinds }), { maxLength: PAGES_MAX });
    fc.assert(
      fc.property(
        pages,
        anyBlock,
        anyLsn,
        fc.integer({ min: 0, max: BLOCK_BYTES * 8 - 1 }),
        (given, block, before, bit) => {
          const made = given.map(({ lsn, kind }, i) => {
            if (kind === 'new') return Buffer.alloc(BLOCK_BYTES);
            const page = makePage(lsn, block + i);
            // Not in the LSN, nor in what tells a new page.
            const at = bit >> 3 < 16 ? 100 : bit >> 3;
            if (kind === 'damaged') page[at]! ^= 1 << (bit & 7);
            return page;
          });
          const found = check(made, block, before);
          const bad = given.findIndex(({ lsn, kind }) => kind === 'damaged' && lsn < before);
          const sound = bad === -1 ? given.length : bad;
          const looked = given.slice(0, sound + 1).filter(({ kind }) => kind !== 'new');
          assert.deepEqual(found, { sound, highestLsn: looked.map(({ lsn }) => lsn).reduce(maxOf, 0n) });
        },
      ),
    );
  });

  it('notices a page in the place of another, and one whose stored checksum was altered', () => {
    const page = makePage(5n, 77);
    assert.equal(check([page], 77, 6n).sound, 1);
    assert.equal(check([page], 78, 6n).sound, 0);
    page[8]! ^= 1;
    assert.equal(check([page], 77, 6n).sound, 0);
  });

  it('checks only pages older than the position, none for position 0', () => {
    const page = makePage(5n, 1);
    page[4000]! ^= 1;
    assert.equal(check([page], 1, 5n).sound, 1);
    assert.equal(check([page], 1, 6n).sound, 0);
    assert.deepEqual(check([page], 1, 0n), { sound: 1, highestLsn: 5n });
  });

  it('leaves the memory as it is', () => {
    const pages = [makePage(5n, 0), makePage(6n, 1)];
    check(pages, 0, 100n);
    assert.deepEqual(Buffer.from(memory.buffer, AT, 2 * BLOCK_BYTES), Buffer.concat(pages));
  });
});
