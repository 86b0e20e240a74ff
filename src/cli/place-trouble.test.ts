import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HoldfastError, systemClock } from '../lib/index.ts';
import { WAITING_NAME } from './open-places.ts';
import { PlaceTrouble } from './place-trouble.ts';

it('what waits on this machine is called its spool, and no copy', () => {
  const said: string[] = [];
  const paint = { warning: (text: string) => text } as never;
  const reporter = { say: (lines: (paint: never) => string[]) => said.push(...lines(paint)), emit: () => {} };
  const trouble = new PlaceTrouble(reporter, systemClock);
  const error = new HoldfastError('OBJECT_DAMAGED', 'it is damaged');
  trouble.tell({ kind: 'damaged', place: WAITING_NAME, name: 'wal/1', error, healthy: 'west' });
  trouble.tell({ kind: 'damaged', place: 'west', name: 'wal/2', error, healthy: WAITING_NAME });
  assert.deepEqual(said, [
    '! The spool of this machine has "wal/1" damaged: it is damaged; it was read from copy "west".',
    '! Copy "west" has "wal/2" damaged: it is damaged; it was read from the spool of this machine.',
  ]);
});
