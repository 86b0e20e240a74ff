import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseUntil } from './hold-words.ts';

const now = Date.UTC(2026, 10, 23, 12);

describe('until when a hold lasts', () => {
  it('is the end of a day in UTC, or a moment with its zone', () => {
    const until = (text: string) => new Date(parseUntil(text, now)).toISOString();
    assert.equal(until('2026-11-23'), '2026-11-24T00:00:00.000Z', 'the day that is still under way');
    assert.equal(until('2028-02-29'), '2028-03-01T00:00:00.000Z');
    assert.equal(until('2033-12-31T18:00:00+01:00'), '2033-12-31T17:00:00.000Z');
    assert.equal(until('2033-12-31 18:00Z'), '2033-12-31T18:00:00.000Z');
  });

  it('is refused when it is over, is no day of the calendar, or has no zone', () => {
    for (const [text, detail] of [
      ['2026-11-22', /still to come; now it is 2026-11-23 12:00:00Z/],
      ['2026-11-23T12:00:00Z', /still to come/],
      ['2999-02-30', /Expected a date/],
      ['2999-01-01T10:00', /with its zone/],
      ['7y', /Expected a date/],
      ['', /Expected a date/],
    ] as const) {
      assert.throws(() => parseUntil(text, now), { code: 'HOLD_UNTIL_INVALID', detail });
    }
  });
});
