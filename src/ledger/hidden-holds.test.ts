import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRepository, scratchFor } from '../../test/support/memory-repository.ts';
import { endHold, listHolds, type NewHold, placeHold } from '../repository/index.ts';
import { findHiddenHolds, HOLD_ADDED } from './hidden-holds.ts';
import { recordAct } from './record-act.ts';

const wish: NewHold = { who: 'anna', why: 'an audit', until: null, purpose: 'legal', scope: { kind: 'everything' } };

describe('holds that are hidden', () => {
  it('are noticed by the host that saw them and by the ledger, until somebody ends them', async (test) => {
    const { repository, store } = await createRepository(test);
    const [own, other] = [await scratchFor(test, 'state'), await scratchFor(test, 'state')];
    const look = async (state: string) =>
      (await findHiddenHolds(repository, state, await listHolds(repository))).map(({ hold, knownFrom }) => [
        hold,
        knownFrom,
      ]);
    const unrecorded = await placeHold(repository, wish);
    const recorded = await recordAct(repository, other, { action: HOLD_ADDED, subject: '', facts: {} }, async () => {
      const id = await placeHold(repository, wish);
      return { result: id, subject: id };
    });
    assert.deepEqual(await look(own), []);
    for (const id of [unrecorded, recorded]) await store.delete(`holds/${id}`);
    assert.deepEqual(
      await look(own),
      [
        [unrecorded, 'this-host'],
        [recorded, 'this-host'],
      ].sort(),
    );
    assert.deepEqual(await look(other), [[recorded, 'ledger']]);
    assert.deepEqual(
      await look(own),
      [
        [unrecorded, 'this-host'],
        [recorded, 'this-host'],
      ].sort(),
      'looking forgets nothing',
    );
    for (const id of [unrecorded, recorded]) await endHold(repository, id, { who: 'anna', why: 'the place was lost' });
    assert.deepEqual([await look(own), await look(other)], [[], []]);
  });
});
