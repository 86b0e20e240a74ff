import assert from 'node:assert/strict';
import { it } from 'node:test';
import { describeCopiesAlone } from './copies-text.ts';

it('a snapshot that was taken into a copy is said to be missing in the primary only when that was asked', () => {
  const copies = ['north', 'west'];
  assert.equal(describeCopiesAlone({ copies, isPrimaryAsked: true }), 'not in the primary: in "north", "west"');
  const unasked = describeCopiesAlone({ copies, isPrimaryAsked: false });
  assert.equal(unasked, 'taken while the primary was away: in "north", "west"');
});
