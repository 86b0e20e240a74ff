import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeIncrementFile } from '../../../test/support/increment-file.ts';
import { IncrementFileReader, type IncrementHead } from './increment-file.ts';

const PAGE = 8192;
const MAGIC = 0xd3ae1f0d;

/** Reads a file that comes in these pieces; pages are taken late where `slow`. */
async function read(pieces: readonly Buffer[], slow = false) {
  const heads: IncrementHead[] = [];
  const pages: Buffer[] = [];
  const reader = new IncrementFileReader({
    onHead: (head) => void heads.push(head),
    onBlock: (index, page) => {
      const take = () => {
        assert.equal(index, pages.length);
        pages.push(Buffer.from(page));
      };
      return slow ? new Promise<void>((resolve) => setImmediate(resolve)).then(take) : take();
    },
  });
  for (const piece of pieces) await reader.push(piece);
  reader.end();
  assert.equal(heads.length, 1, 'a head is told once');
  return { blocks: [...heads[0]!.blocks], truncationLength: heads[0]!.truncationLength, pages };
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...ends].map((start, i) => bytes.subarray(start, ends[i] ?? bytes.length));
}

describe('an increment of a data file', () => {
  it('is read alike however it is cut, and however slowly it is taken', async () => {
    const file = fc.record({
      blocks: fc.uniqueArray(fc.nat({ max: 131_071 }), { maxLength: 6 }),
      truncation: fc.nat({ max: 131_072 }),
      cuts: fc.array(fc.nat(), { maxLength: 12 }),
      slow: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(file, async ({ blocks, truncation, cuts, slow }) => {
        const sorted = blocks.sort((a, b) => a - b);
        const pages = sorted.map(() => randomBytes(PAGE));
        const bytes = encodeIncrementFile(sorted, truncation, pages);
        const found = await read(split(bytes, cuts), slow);
        assert.deepEqual(found, { blocks: sorted, truncationLength: truncation, pages });
      }),
      { numRuns: 60 },
    );
  });

  it('may have so many blocks that its head takes several blocks itself', async () => {
    const blocks = Array.from({ length: 5_000 }, (_, i) => i * 3);
    const page = randomBytes(PAGE);
    const found = await read(
      split(encodeIncrementFile(blocks, 15_000, new Array(5_000).fill(page)), [70_000, 20_001, 9]),
    );
    assert.deepEqual(found.blocks, blocks);
    assert.ok(found.pages.every((one) => one.equals(page)));
  });

  it('without changes is only a head', async () => {
    const bytes = encodeIncrementFile([], 77, []);
    assert.equal(bytes.length, 12);
    const bytewise = Array.from(bytes, (byte) => Buffer.of(byte));
    assert.deepEqual(await read(bytewise), { blocks: [], truncationLength: 77, pages: [] });
  });

  it('is refused when it is none, is cut short, goes on too long, or names blocks that cannot be', async () => {
    const page = randomBytes(PAGE);
    const good = encodeIncrementFile([3, 5], 9, [page, page]);
    const bad = [
      ...[Buffer.alloc(0), good.subarray(0, 11), good.subarray(0, 4000), good.subarray(0, -1), good.subarray(0, -PAGE)],
      ...[Buffer.concat([good, Buffer.of(0)]), Buffer.concat([encodeIncrementFile([], 3, []), Buffer.of(0)])],
      ...[
        encodeIncrementFile([3, 5], 9, [page, page], MAGIC + 1),
        encodeIncrementFile([5, 3], 9, [page, page]),
        encodeIncrementFile([5, 5], 9, [page, page]),
      ],
      ...[encodeIncrementFile([131_072], 9, [page]), encodeIncrementFile([3], 131_073, [page])],
    ];
    for (const [i, bytes] of bad.entries()) {
      await assert.rejects(async () => read([bytes]), { code: 'PG_INCREMENT_INVALID' }, `case ${i}`);
    }
  });
});
