import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatBytes,
  formatDuration,
  formatExactDuration,
  formatMoment,
  formatQuantity,
  formatRate,
  parseBytes,
  parseDuration,
} from './units.ts';

describe('bytes for people', () => {
  it('have at most three significant digits and never a fourth by rounding', () => {
    const cases: [number | bigint, string][] = [
      [0, '0 B'],
      [1023, '1023 B'],
      [1024, '1.00 KiB'],
      [10_235, '10.0 KiB'],
      [999 * 1024, '999 KiB'],
      [999.6 * 1024, '0.98 MiB'],
      [64n * 1024n * 1024n, '64.0 MiB'],
      [1.5 * 2 ** 40, '1.50 TiB'],
    ];
    for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 52 }), (bytes) => {
        const number = formatBytes(bytes).split(' ')[0]!;
        return bytes < 1024 || /^(0\.9\d|\d\.\d\d|\d\d\.\d|\d\d\d)$/.test(number);
      }),
    );
  });

  it('are read in powers of 1024 and of 1000', () => {
    assert.equal(parseBytes('50MiB'), 50 * 2 ** 20);
    assert.equal(parseBytes('1.5 G'), 1.5 * 2 ** 30);
    assert.equal(parseBytes('32kB'), 32_000);
    assert.equal(parseBytes('7'), 7);
    for (const text of ['', '-1', '1 XB', '1,5M', 'MiB'])
      assert.throws(() => parseBytes(text), { code: 'BYTES_INVALID' });
  });

  it('in a second carry the second', () => {
    assert.equal(formatRate(85.14 * 2 ** 20), '85.1 MiB/s');
  });
});

describe('durations', () => {
  it('for people never show sixty of a unit', () => {
    const cases: [number, string][] = [
      [0, '0 ms'],
      [340, '340 ms'],
      [8_249, '8.2 s'],
      [59_949, '59.9 s'],
      [59_960, '1 min'],
      [125_000, '2 min 5 s'],
      [3_599_900, '1 h'],
      [2 * 3_600_000 - 100, '2 h'],
      [24 * 3_600_000 - 1, '1 d'],
      [76 * 3_600_000, '3 d 4 h'],
    ];
    for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
    fc.assert(
      fc.property(fc.nat({ max: 10 ** 10 }), (ms) => !/\b60(\.0)? (s|min)\b|\b24 h\b/.test(formatDuration(ms))),
    );
  });

  it('are told with nothing rounded where numbers are compared', () => {
    const cases: [number, string][] = [
      [0, '0s'],
      [340, '340ms'],
      [900_000, '15m'],
      [2_592_000, '43m 12s'],
      [86_400_000 + 5_000 + 1, '1d 5s 1ms'],
      [7 * 366 * 86_400_000, '7y'],
      [366 * 86_400_000 + 60_000, '366d 1m'],
    ];
    for (const [ms, text] of cases) assert.equal(formatExactDuration(ms), text);
    fc.assert(
      fc.property(fc.nat({ max: 10 ** 12 }), (ms) => {
        const told = formatExactDuration(ms).split(' ');
        return told.reduce((sum, part) => sum + parseDuration(part), 0) === ms;
      }),
    );
  });

  it('are read with a unit and in ISO 8601', () => {
    assert.equal(parseDuration('250ms'), 250);
    assert.equal(parseDuration('1s'), 1_000);
    assert.equal(parseDuration('15m'), 900_000);
    assert.equal(parseDuration('15min'), 900_000);
    assert.equal(parseDuration('12w'), 84 * 86_400_000);
    assert.equal(parseDuration('7y'), 7 * 366 * 86_400_000);
    assert.equal(parseDuration('PT15M'), 900_000);
    assert.equal(parseDuration('P1DT1.5S'), 86_401_500);
    for (const text of ['', '15', 'P', 'PT', '1mo', '-1s', 'P1M'])
      assert.throws(() => parseDuration(text), { code: 'DURATION_INVALID' });
  });
});

it('counts have the right form of their noun', () => {
  assert.equal(formatQuantity(1, 'file'), '1 file');
  assert.equal(formatQuantity(2_048, 'file'), '2,048 files');
  assert.equal(formatQuantity(0n, 'history', 'histories'), '0 histories');
});

it('moments are in UTC and say so', () => {
  assert.equal(formatMoment(Date.UTC(2026, 10, 23, 5, 2, 19, 999)), '2026-11-23 05:02:19Z');
});
