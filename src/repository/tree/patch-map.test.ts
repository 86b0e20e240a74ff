import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type FileMap, mapLength } from './file-map.ts';
import { type PatchedPage, patchMap } from './patch-map.ts';

const PAGE = 8192;
/** Only the bytes of one page matter to a model; each page is told by one number. */
const zeroFingerprint = printOf(0);

function printOf(content: number): Buffer {
  return createHash('sha256').update(String(content)).digest().subarray(0, 8);
}

/** Chunks of pages, each page a number that is not zero. */
class Chunks {
  readonly #chunks = new Map<string, number[]>();

  make(pages: number[]): Buffer {
    const id = randomBytes(32);
    this.#chunks.set(id.toString('hex'), pages);
    return id;
  }

  /** What a map's pages hold, by what its extents say. */
  contents(map: FileMap): number[] {
    return map.extents.flatMap((extent) => {
      const count = extent.length / PAGE;
      if (extent.form === 'zero') return new Array<number>(count).fill(0);
      const chunk = this.#chunks.get(extent.id.toString('hex'))!;
      assert.ok(extent.offset / PAGE + count <= chunk.length, 'an extent lies inside its chunk');
      return chunk.slice(extent.offset / PAGE, extent.offset / PAGE + count);
    });
  }
}

let drawn = 0;

/** A map of these runs of pages, each a chunk of its own, or zeros. */
function mapOf(chunks: Chunks, runs: readonly { pages: number; isZero: boolean }[]): FileMap {
  const prints: Buffer[] = [];
  const extents = runs.map(({ pages, isZero }) => {
    const contents = Array.from({ length: pages }, () => (isZero ? 0 : ++drawn));
    prints.push(...contents.map(printOf));
    if (isZero) return { form: 'zero' as const, length: pages * PAGE };
    return { form: 'chunk' as const, length: pages * PAGE, id: chunks.make(contents), offset: 0 };
  });
  return { extents, fingerprints: Buffer.concat(prints) };
}

const run = fc.record({ pages: fc.integer({ min: 1, max: 12 }), isZero: fc.boolean() });
const step = fc.record({
  pages: fc.integer({ min: 0, max: 40 }),
  kept: fc.integer({ min: 0, max: 45 }),
  changed: fc.uniqueArray(fc.nat({ max: 39 }), { maxLength: 30 }),
  /** So many changed pages lie in one chunk. */
  bundle: fc.integer({ min: 1, max: 5 }),
});

function pagesFrom(chunks: Chunks, numbers: readonly number[], bundle: number) {
  const pages: PatchedPage[] = [];
  const contents = new Map<number, number>();
  for (let first = 0; first < numbers.length; first += bundle) {
    const part = numbers.slice(first, first + bundle);
    const drawnNow = part.map(() => ++drawn);
    const id = chunks.make(drawnNow);
    for (const [i, page] of part.entries()) {
      contents.set(page, drawnNow[i]!);
      pages.push({ page, id, offset: i * PAGE, fingerprint: printOf(drawnNow[i]!) });
    }
  }
  return { pages, contents };
}

describe('a map that is patched', () => {
  it('has the bytes that a file would have, patch after patch, and the fingerprints of them', () => {
    fc.assert(
      fc.property(
        fc.option(fc.array(run, { maxLength: 8 })),
        fc.array(step, { minLength: 1, maxLength: 4 }),
        (runs, steps) => {
          const chunks = new Chunks();
          let map = runs === null ? null : mapOf(chunks, runs);
          let model = map === null ? [] : chunks.contents(map);
          for (const { pages: count, kept, changed, bundle } of steps) {
            const numbers = changed.filter((page) => page < count).sort((a, b) => a - b);
            const { pages, contents } = pagesFrom(chunks, numbers, bundle);
            const before = model;
            model = Array.from(
              { length: count },
              (_, page) => contents.get(page) ?? (page < kept ? (before[page] ?? 0) : 0),
            );
            map = patchMap(map, { length: count * PAGE, keptLength: kept * PAGE, pages, zeroFingerprint });
            assert.equal(mapLength(map), count * PAGE);
            assert.deepEqual(chunks.contents(map), model);
            assert.deepEqual(map.fingerprints, Buffer.concat(model.map(printOf)));
            assert.ok(map.extents.every(({ length }) => length > 0));
          }
        },
      ),
    );
  });

  it('is made of as few extents as can be: what goes on in the same chunk is one', () => {
    const chunks = new Chunks();
    const map = mapOf(chunks, [{ pages: 4, isZero: false }]);
    const all = { length: 4 * PAGE, keptLength: 4 * PAGE, zeroFingerprint };
    const id = chunks.make([901, 902, 903]);
    const page = (number: number, offset: number) => ({ page: number, id, offset, fingerprint: printOf(offset) });
    assert.deepEqual(patchMap(map, { ...all, pages: [] }), map);
    const neighbours = patchMap(map, { ...all, pages: [page(1, 0), page(2, PAGE)] });
    assert.deepEqual(
      neighbours.extents.map(({ length }) => length / PAGE),
      [1, 2, 1],
    );
    const scattered = patchMap(map, { ...all, pages: [page(1, PAGE), page(2, 0)] });
    assert.equal(scattered.extents.length, 4);
    const grown = patchMap(patchMap(map, { ...all, length: 6 * PAGE, pages: [] }), {
      ...all,
      length: 9 * PAGE,
      keptLength: 6 * PAGE,
      pages: [],
    });
    assert.deepEqual(grown.extents.at(-1), { form: 'zero', length: 5 * PAGE });
    assert.equal(grown.extents.length, 2);
  });

  it('has no fingerprints where it kept what had none', () => {
    const chunks = new Chunks();
    const plain = { ...mapOf(chunks, [{ pages: 2, isZero: false }]), fingerprints: null };
    const patch = { length: 2 * PAGE, keptLength: 2 * PAGE, zeroFingerprint };
    const [first, second] = pagesFrom(chunks, [0, 1], 1).pages;
    assert.equal(patchMap(plain, { ...patch, pages: [first!] }).fingerprints, null);
    assert.notEqual(patchMap(plain, { ...patch, pages: [first!, second!] }).fingerprints, null);
    // A file that does not end with a whole page has none of its last one.
    const odd = {
      extents: [{ form: 'chunk' as const, id: randomBytes(32), offset: 0, length: 100 }],
      fingerprints: null,
    };
    assert.deepEqual(patchMap(odd, { ...patch, pages: [] }), {
      extents: [odd.extents[0], { form: 'zero', length: 2 * PAGE - 100 }],
      fingerprints: null,
    });
  });
});
