import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { beginIterating, mapAhead } from './ahead.ts';

/** Work that is over when the test says so. */
class HeldWork {
  readonly begun: number[] = [];
  readonly #held = new Map<number, PromiseWithResolvers<number>>();

  readonly work = (item: number): Promise<number> => {
    this.begun.push(item);
    const held = Promise.withResolvers<number>();
    this.#held.set(item, held);
    return held.promise;
  };

  end(item: number): void {
    this.#held.get(item)!.resolve(item * 10);
  }
}

const settled = () => new Promise(setImmediate);

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

describe('work that is done ahead', () => {
  it('gives its results in the order of the items, whatever comes first', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(5)), fc.integer({ min: 1, max: 5 }), async (turns, atOnceMax) => {
        const items = turns.map((_, i) => i);
        const results = mapAhead(items, { atOnceMax }, async (item) => {
          for (let turn = 0; turn < turns[item]!; turn++) await Promise.resolve();
          return item;
        });
        assert.deepEqual(await collect(results), items);
      }),
    );
  });

  it('is under way for as many items as may be, and goes on when the first result was taken', async () => {
    const held = new HeldWork();
    const results = mapAhead([1, 2, 3, 4], { atOnceMax: 2 }, held.work);
    const first = results.next();
    await settled();
    assert.deepEqual(held.begun, [1, 2]);
    held.end(2);
    await settled();
    assert.deepEqual(held.begun, [1, 2], 'the second does not come before the first');
    held.end(1);
    assert.deepEqual(await first, { value: 10, done: false });
    const second = results.next();
    await settled();
    assert.deepEqual(held.begun, [1, 2, 3]);
    assert.deepEqual(await second, { value: 20, done: false });
    await results.return();
  });

  it('weighs no more than it may, and an item that is too heavy goes alone', async () => {
    const sizes = [5, 4, 3, 20, 1, 1];
    let now = 0;
    const together: number[] = [];
    const limit = { atOnceMax: 10, weightMax: 10, weigh: (size: number) => size };
    const results = mapAhead(sizes, limit, async (size) => {
      now += size;
      together.push(now);
      await settled();
      now -= size;
    });
    await collect(results);
    assert.deepEqual(together, [5, 9, 7, 20, 1, 2]);
  });

  it('tells of an error when its turn comes, be it of the work or of the items', async () => {
    async function* items() {
      yield 1;
      yield 2;
      throw new Error('no more items');
    }
    const seen: number[] = [];
    const run = async (work: (item: number) => Promise<number>) => {
      seen.length = 0;
      for await (const result of mapAhead(items(), { atOnceMax: 5 }, work)) seen.push(result);
    };
    await assert.rejects(
      run(async (item) => item),
      { message: 'no more items' },
    );
    assert.deepEqual(seen, [1, 2]);
    const fail = async (item: number) => (item === 1 ? item : assert.fail('the second fails'));
    await assert.rejects(run(fail), { message: 'the second fails' });
    assert.deepEqual(seen, [1]);
  });

  it('lets go what is under way when nobody wants the rest, and closes the items', async () => {
    let closed = false;
    async function* items() {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        closed = true;
      }
    }
    const work = async (item: number) => (item < 2 ? item : Promise.reject(new Error('nobody hears of this')));
    for await (const result of mapAhead(items(), { atOnceMax: 4 }, work)) if (result === 1) break;
    await settled();
    assert.equal(closed, true);
  });
});

describe('an iteration that begins before it is asked for', () => {
  it('gives the same items, closes their source, and tells an error only to whoever iterates', async () => {
    const told: string[] = [];
    async function* items() {
      try {
        for (let i = 0; ; i++) {
          told.push(`asked for ${i}`);
          yield i;
        }
      } finally {
        told.push('closed');
      }
    }
    const begun = beginIterating(items());
    assert.deepEqual(told, ['asked for 0']);
    for await (const item of begun) if (item === 1) break;
    assert.deepEqual(told, ['asked for 0', 'asked for 1', 'closed']);
    async function* failing(): AsyncGenerator<number, void> {
      yield await Promise.reject(new Error('the source broke'));
    }
    beginIterating(failing());
    await settled();
    await assert.rejects(collect(beginIterating(failing())), { message: 'the source broke' });
  });
});
