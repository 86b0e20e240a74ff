import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveBack } from './garbage.ts';

test('memory of a large buffer is given back at once, and memory that others share is not', () => {
  const large = Buffer.allocUnsafe(1 << 20);
  giveBack(large);
  assert.equal(large.length, 0);
  const small = Buffer.from('of the pool');
  const neighbour = Buffer.from('of the same pool');
  giveBack(small);
  assert.equal(`${small}, ${neighbour}`, 'of the pool, of the same pool');
  const shared = new Uint8Array(new SharedArrayBuffer(1 << 20));
  giveBack(shared);
  assert.equal(shared.length, 1 << 20);
});
