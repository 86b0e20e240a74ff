import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { copyBytes } from './copy-bytes.ts';

test('bytes are copied to their place and nowhere else, into shared memory as well', () => {
  const source = randomBytes(300_000);
  for (const target of [Buffer.alloc(400_000), Buffer.from(new SharedArrayBuffer(400_000))]) {
    for (const [from, length, at] of [
      [0, 300_000, 100_000],
      [5, 131_072, 3],
      [7, 1, 399_999],
      [9, 0, 0],
      [9, 0, 400_000],
    ] as const) {
      target.fill(1);
      const part = source.subarray(from, from + length);
      copyBytes(part, target, at);
      const expected = Buffer.concat([Buffer.alloc(at, 1), part, Buffer.alloc(400_000 - at - length, 1)]);
      assert.ok(target.equals(expected), `${length} bytes at ${at}`);
    }
  }
  assert.throws(() => copyBytes(source, Buffer.alloc(10), 0), { name: 'AssertionFailed' });
});
