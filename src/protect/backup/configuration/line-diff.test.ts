import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compareLines, diffLines } from './line-diff.ts';

describe('the difference of two texts', () => {
  it('shows changed lines with some around them, and where they stand', () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
    const changed = lines.with(9, 'another').join('\n');
    assert.deepEqual(diffLines(`${lines.join('\n')}\n`, `${changed}\n`), [
      '@@ -7 +7 @@',
      ...[' line 7', ' line 8', ' line 9', '-line 10', '+another', ' line 11', ' line 12', ' line 13'],
    ]);
  });

  it('is empty for equal texts, and all for an empty one', () => {
    assert.deepEqual(diffLines('a\nb\n', 'a\nb\n'), []);
    assert.deepEqual(diffLines('', 'a\n'), ['@@ -1 +1 @@', '+a']);
  });

  it('gives back both texts, and takes no more lines for changed than it must', () => {
    const line = fc.constantFrom('a', 'b', 'c', 'd');
    const text = fc.array(line, { maxLength: 12 });
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = compareLines(before, after);
        const side = (sign: '-' | '+') =>
          lines.filter((each) => each.sign === ' ' || each.sign === sign).map(({ text }) => text);
        assert.deepEqual(side('-'), before);
        assert.deepEqual(side('+'), after);
        assert.equal(lines.filter(({ sign }) => sign === ' ').length, longestCommon(before, after));
      }),
    );
  });
});

/** By definition, without any cleverness. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return 0;
  if (a[0] === b[0]) return 1 + longestCommon(a.slice(1), b.slice(1));
  return Math.max(longestCommon(a.slice(1), b), longestCommon(a, b.slice(1)));
}
