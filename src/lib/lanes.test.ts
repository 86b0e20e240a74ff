import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inLanes } from './lanes.ts';

describe('lanes', () => {
  it('do each thing once, never more of them at a time than they are', async () => {
    for (const lanes of [1, 3, 50]) {
      const done: number[] = [];
      let [running, most] = [0, 0];
      await inLanes(lanes, Array.from({ length: 20 }, (_, i) => i).values(), async (item) => {
        most = Math.max(most, ++running);
        await new Promise(setImmediate);
        running -= 1;
        done.push(item);
      });
      assert.deepEqual(
        done.toSorted((a, b) => a - b),
        Array.from({ length: 20 }, (_, i) => i),
      );
      assert.equal(most, Math.min(lanes, 20));
    }
  });

  it('take from a source that makes its items as it goes, and end with its error or that of the work', async () => {
    const source = async function* () {
      yield 1;
      yield 2;
      throw new Error('the source broke');
    };
    const seen: number[] = [];
    await assert.rejects(
      inLanes(4, source(), async (item) => void seen.push(item)),
      { message: 'the source broke' },
    );
    assert.deepEqual(seen, [1, 2]);
    let worked = 0;
    const fail = async () => {
      worked += 1;
      throw new Error('the work broke');
    };
    await assert.rejects(inLanes(2, Array.from({ length: 1000 }).keys(), fail), { message: 'the work broke' });
    assert.ok(worked <= 2);
  });
});
