import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { RateLimit } from './rate-limit.ts';

describe('a rate that transfers share', () => {
  it('lets through in a second what it says, in the order of asking, however many ask', async () => {
    const clock = new ManualClock();
    const rate = new RateLimit(1000, clock);
    const through: number[] = [];
    for (let i = 0; i < 50; i++) void rate.take(100).then(() => through.push(i));
    await clock.advance(0);
    assert.deepEqual(through, [0, 1]);
    await clock.advance(1000);
    assert.deepEqual(
      through,
      Array.from({ length: 12 }, (_, i) => i),
    );
    await clock.advance(3800);
    assert.equal(through.length, 50);
  });

  it('saves up no more than a moment while nobody asks', async () => {
    const clock = new ManualClock();
    const rate = new RateLimit(1000, clock);
    await clock.advance(3_600_000);
    await rate.take(5000);
    let isThrough = false;
    void rate.take(1).then(() => {
      isThrough = true;
    });
    await clock.advance(4890);
    assert.equal(isThrough, false);
    await clock.advance(20);
    assert.equal(isThrough, true);
  });

  it('lets go of whoever is interrupted', async () => {
    const rate = new RateLimit(1, new ManualClock());
    await rate.take(1_000_000);
    await rate.take(1, AbortSignal.abort());
  });
});
