import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clipRange, LsnCoverage, type LsnRange, mergeRanges, missingRanges, unbrokenEnd } from './lsn-ranges.ts';

const SPACE = 60;
const range = fc
  .tuple(fc.integer({ min: 0, max: SPACE }), fc.integer({ min: 0, max: SPACE }))
  .map(([a, b]): LsnRange => ({ start: BigInt(Math.min(a, b)), end: BigInt(Math.max(a, b)) }));
const ranges = fc.array(range, { maxLength: 12 });

/** The same, one byte at a time. */
function bytesOf(given: readonly LsnRange[]): Set<bigint> {
  const bytes = new Set<bigint>();
  for (const { start, end } of given) for (let at = start; at < end; at++) bytes.add(at);
  return bytes;
}

describe('ranges of WAL', () => {
  it('are merged into the same bytes, apart from each other and rising', () => {
    fc.assert(
      fc.property(ranges, (given) => {
        const merged = mergeRanges(given);
        assert.deepEqual(bytesOf(merged), bytesOf(given));
        for (const [i, { start, end }] of merged.entries()) {
          assert.ok(start < end);
          assert.ok(i === 0 || merged[i - 1]!.end < start);
        }
      }),
    );
  });

  it('end where the first byte behind a position is missing', () => {
    fc.assert(
      fc.property(ranges, fc.bigInt(0n, BigInt(SPACE)), (given, from) => {
        const bytes = bytesOf(given);
        let end = from;
        while (bytes.has(end)) end += 1n;
        assert.equal(unbrokenEnd(mergeRanges(given), from), end);
      }),
    );
  });

  it('leave out exactly the bytes that no range has', () => {
    fc.assert(
      fc.property(ranges, range, (given, within) => {
        const bytes = bytesOf(given);
        const expected = [...bytesOf([within])].filter((at) => !bytes.has(at));
        assert.deepEqual([...bytesOf(missingRanges(mergeRanges(given), within))], expected);
      }),
    );
  });

  it('have in common what both have', () => {
    fc.assert(
      fc.property(range, range, (a, b) => {
        const clipped = clipRange(a, b);
        const expected = [...bytesOf([a])].filter((at) => bytesOf([b]).has(at));
        assert.deepEqual(clipped === null ? [] : [...bytesOf([clipped])], expected);
      }),
    );
  });

  it('grow one by one into what they are together', () => {
    fc.assert(
      fc.property(ranges, range, (given, within) => {
        const coverage = new LsnCoverage();
        for (const added of given) coverage.add(added);
        assert.deepEqual(coverage.ranges, mergeRanges(given));
        assert.deepEqual(coverage.firstMissing(within), missingRanges(mergeRanges(given), within)[0] ?? null);
      }),
    );
  });
});
