import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../lib/index.ts';
import { formatTimelineHistory, parseTimelineHistory } from './timeline-history.ts';

describe('timeline history', () => {
  it('is read from what a server writes', () => {
    const text = '1\t0/3000110\tno recovery target specified\n\n2\t0/5000028\tbefore LSN 0/5000028\n';
    assert.deepEqual(parseTimelineHistory(text), [
      { timeline: 1, switchLsn: 0x3000110n, reason: 'no recovery target specified' },
      { timeline: 2, switchLsn: 0x5000028n, reason: 'before LSN 0/5000028' },
    ]);
  });

  it('passes over comments and empty lines, and needs no reason', () => {
    assert.deepEqual(parseTimelineHistory('# a note\n\n  7 \t 1/0 \n'), [
      { timeline: 7, switchLsn: 1n << 32n, reason: '' },
    ]);
    assert.deepEqual(parseTimelineHistory(''), []);
  });

  it('is the same after writing and reading', () => {
    const entry = fc.record(
      {
        timeline: fc.integer({ min: 1, max: 0xffffffff }),
        switchLsn: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
        reason: fc.stringMatching(/^([a-z0-9/:"]{1,10}( [a-z0-9]{1,5}){0,3})?$/),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: (value) => value.timeline }), (entries) => {
        const sorted = entries.toSorted((a, b) => a.timeline - b.timeline);
        assert.deepEqual(parseTimelineHistory(formatTimelineHistory(sorted)), sorted);
      }),
    );
  });

  it('refuses lines that cannot be read and timelines that do not rise', () => {
    for (const text of ['x\t0/1\ty', '1\t0-1\ty', '1', '0\t0/1\ty', '2\t0/1\ty\n2\t0/2\ty', '3\t0/1\ty\n2\t0/2\ty']) {
      assert.throws(() => parseTimelineHistory(text), { code: 'PG_TIMELINE_HISTORY_INVALID' }, text);
    }
  });

  it('answers any text with a result or its own error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        try {
          parseTimelineHistory(text);
        } catch (error) {
          assert.ok(error instanceof HoldfastError);
        }
      }),
    );
  });
});
