import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GrowthMeter } from './growth.ts';

describe('the growth of an amount', () => {
  it('is taken over the last while, in a second', () => {
    const meter = new GrowthMeter(60_000);
    for (let second = 0; second <= 10; second++) meter.add(second * 1000, second * 300);
    assert.equal(meter.perSecond, 300);
  });

  it('is not known from a moment', () => {
    const meter = new GrowthMeter(60_000);
    assert.equal(meter.perSecond, null);
    meter.add(0, 0);
    meter.add(100, 16_000_000);
    assert.equal(meter.perSecond, null);
  });

  it('ends when nothing comes any more, and is never below nothing', () => {
    const meter = new GrowthMeter(60_000);
    meter.add(0, 0n);
    meter.add(10_000, 100n);
    for (let at = 20_000; at <= 90_000; at += 10_000) meter.add(at, 100n);
    assert.equal(meter.perSecond, 0);
    meter.add(95_000, 5n);
    assert.equal(meter.perSecond, 0);
  });
});
