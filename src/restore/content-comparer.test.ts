import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { scratchFor } from '../../test/support/memory-repository.ts';
import { type Extent, FINGERPRINT_PAGE_BYTES, type FileMap, PageFingerprinter } from '../repository/index.ts';
import { ContentComparer } from './content-comparer.ts';

const PAGE = FINGERPRINT_PAGE_BYTES;
const key = randomBytes(32);
const keys = {
  fingerprintKey: key,
  identifyChunk: (raw: Uint8Array) => createHmac('sha256', key).update(raw).digest(),
};

/** The map of bytes as a backup makes it: one chunk, with a fingerprint for each page when they are pages. */
function mapOf(bytes: Buffer, paged: boolean): FileMap {
  const extents: Extent[] = [{ form: 'chunk', length: bytes.length, id: keys.identifyChunk(bytes), offset: 0 }];
  return { extents, fingerprints: paged ? fingerprintsOf(bytes) : null };
}

function fingerprintsOf(bytes: Buffer): Buffer {
  const pages = bytes.length / PAGE;
  const pagesAt = 16_384;
  const memory = new WebAssembly.Memory({ initial: 32, maximum: 32, shared: true });
  const fingerprinter = new PageFingerprinter({ memory, keyAt: 0, fingerprintKey: key });
  new Uint8Array(memory.buffer, pagesAt, bytes.length).set(bytes);
  const outAt = pagesAt + bytes.length;
  fingerprinter.fingerprint(pagesAt, pages, outAt);
  return Buffer.from(Buffer.from(memory.buffer, outAt, pages * 8));
}

describe('comparing what is there with a backup', () => {
  it('finds every page that differs and no other, also in a file that is too short', async (test) => {
    const scratch = await scratchFor(test, 'compare');
    const path = join(scratch, 'file');
    const comparer = new ContentComparer(keys);
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 20 }),
        fc.array(fc.nat({ max: 20 * PAGE - 1 }), { maxLength: 6 }),
        fc.nat({ max: 20 * PAGE }),
        async (fill, flips, cut) => {
          const wanted = Buffer.concat(Array.from(fill, (byte) => Buffer.alloc(PAGE, byte)));
          const there = Buffer.from(wanted);
          for (const at of flips) if (at < there.length) there[at]! ^= 1;
          const have = Math.min(there.length, cut);
          await writeFile(path, there.subarray(0, have));
          await using file = await open(path, 'r');
          const found = await comparer.compare(file, 0, wanted.length, mapOf(wanted, true));
          const expected = new Set<number>();
          for (let page = 0; page < fill.length; page++) {
            const range = [page * PAGE, (page + 1) * PAGE] as const;
            const isEqual = range[1] <= have && there.subarray(...range).equals(wanted.subarray(...range));
            if (!isEqual) expected.add(page);
          }
          const pages = found.flatMap(({ at, length }) =>
            Array.from({ length: length / PAGE }, (_, i) => at / PAGE + i),
          );
          assert.deepEqual(pages, [...expected]);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('takes what has no pages for equal only as a whole, and zeros for zeros', async (test) => {
    const scratch = await scratchFor(test, 'compare');
    const path = join(scratch, 'file');
    const comparer = new ContentComparer(keys);
    const bytes = randomBytes(1000);
    const zeros: Extent = { form: 'zero', length: 500 };
    const map: FileMap = { extents: [...mapOf(bytes, false).extents, zeros], fingerprints: null };
    const compare = async (content: Buffer) => {
      await writeFile(path, content);
      await using file = await open(path, 'r');
      return await comparer.compare(file, 0, 1500, map);
    };
    assert.deepEqual(await compare(Buffer.concat([bytes, Buffer.alloc(500)])), []);
    const flipped = Buffer.from(bytes);
    flipped[999]! ^= 0x80;
    assert.deepEqual(await compare(Buffer.concat([flipped, Buffer.alloc(500)])), [{ at: 0, length: 1000 }]);
    assert.deepEqual(await compare(Buffer.concat([bytes, Buffer.alloc(500, 1)])), [{ at: 1000, length: 500 }]);
    assert.deepEqual(await compare(bytes), [{ at: 1000, length: 500 }]);
    assert.deepEqual(await compare(Buffer.alloc(0)), [{ at: 0, length: 1500 }]);
  });
});
