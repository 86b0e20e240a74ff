import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ratiosOf, spreadOf } from './statistics.ts';

describe('the spread of measurements', () => {
  it('is the middle one and the two ends, in whatever order they came', () => {
    assert.deepEqual(spreadOf([3, 10, 1]), { median: 3, min: 1, max: 10 });
    assert.deepEqual(spreadOf([4, 1, 2, 10]), { median: 3, min: 1, max: 10 });
    assert.deepEqual(spreadOf([7]), { median: 7, min: 7, max: 7 });
    assert.throws(() => spreadOf([]), RangeError);
  });

  it('of ratios is taken round by round, not from the two medians', () => {
    assert.deepEqual(ratiosOf([1, 20, 3], [2, 10, 6]), { median: 0.5, min: 0.5, max: 2 });
    assert.throws(() => ratiosOf([1], [1, 2]), RangeError);
  });
});
