import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatTimestamp,
  timestampFromMilliseconds,
  timestampFromServer,
  timestampToMilliseconds,
  timestampToServer,
} from './timestamp.ts';

describe('timestamp', () => {
  it('counts from 2000 on the server and from 1970 here', () => {
    assert.equal(formatTimestamp(timestampFromServer(0n)), '2000-01-01T00:00:00.000000Z');
    assert.equal(formatTimestamp(0n), '1970-01-01T00:00:00.000000Z');
    assert.equal(timestampToServer(timestampFromMilliseconds(946_684_800_000)), 0n);
  });

  it('keeps each microsecond, also before 1970', () => {
    assert.equal(formatTimestamp(1_795_411_071_123_456n), '2026-11-23T05:17:51.123456Z');
    assert.equal(formatTimestamp(-1n), '1969-12-31T23:59:59.999999Z');
    assert.equal(timestampToMilliseconds(-1n), -1);
    const moments = fc.bigInt({ min: -(10n ** 16n), max: 10n ** 16n });
    fc.assert(fc.property(moments, (moment) => timestampToServer(timestampFromServer(moment)) === moment));
    fc.assert(
      fc.property(moments, (moment) => {
        const text = formatTimestamp(moment);
        assert.equal(Date.parse(text.replace(/\d{3}Z$/, 'Z')), timestampToMilliseconds(moment));
        assert.equal(BigInt(text.slice(-4, -1)), ((moment % 1000n) + 1000n) % 1000n);
      }),
    );
  });
});
