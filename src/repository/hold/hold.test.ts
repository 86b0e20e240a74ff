import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { namesIn } from '../../../test/support/listing.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { memoryStore } from '../object-store/index.ts';
import { newSnapshotId, recordForgotten } from '../snapshot/index.ts';
import { endHold } from './holds.ts';
import { findHeldTooLate, isHoldInForce, listHolds, type NewHold, placeHold } from './index.ts';

const day = 86_400_000;
const wish: NewHold = { who: 'anna', why: 'an audit', until: null, purpose: 'legal', scope: { kind: 'everything' } };

describe('holds', () => {
  it('are listed with all that was said, in force until they are ended or their time is over by the store', async (test) => {
    const clock = new ManualClock();
    const { repository, store } = await createRepository(test, { store: memoryStore({ clock }), clock });
    const scope = { kind: 'snapshots' as const, snapshots: [newSnapshotId()] };
    const forever = await placeHold(repository, wish);
    await clock.advance(day);
    const bounded = await placeHold(repository, { ...wish, until: clock.now() + day, purpose: 'recovery', scope });
    const first = await listHolds(repository);
    assert.deepEqual([first.endedUnseen, first.unreadable], [[], []]);
    assert.deepEqual(
      first.holds.map(({ id, at, until, purpose, ended }) => ({ id, at, until, purpose, ended })),
      [
        { id: forever, at: clock.now() - day, until: null, purpose: 'legal', ended: null },
        { id: bounded, at: clock.now(), until: clock.now() + day, purpose: 'recovery', ended: null },
      ],
    );
    assert.deepEqual(first.holds[1]?.scope, scope);
    assert.ok(first.holds.every((hold) => isHoldInForce(hold, clock.now())));
    await clock.advance(day);
    const objects = await namesIn(store, 'holds/');
    await endHold(repository, forever, { who: 'bert', why: 'done' });
    await clock.advance(1);
    await endHold(repository, forever, { who: 'carl', why: 'again' });
    const { holds } = await listHolds(repository);
    assert.deepEqual(holds[0]?.ended, { at: clock.now() - 1, who: 'bert', why: 'done' }, 'the first end counts');
    assert.ok(holds.every((hold) => !isHoldInForce(hold, clock.now())));
    const later = new Set(await namesIn(store, 'holds/'));
    assert.ok(
      objects.every((name) => later.has(name)),
      'nothing is deleted for an end',
    );
    assert.deepEqual(await namesIn(store, 'features/prune.'), ['features/prune.holds-1']);
  });

  it('make whoever cannot read one of them know that, whatever lies there', async (test) => {
    const { repository, store } = await createRepository(test);
    await placeHold(repository, wish);
    const unseen = 'ab'.repeat(32);
    await endHold(repository, unseen, { who: 'anna', why: 'it was hidden' });
    await repository.putJson('hold', 'holds/later', { version: 2, record: 'hold', keeps: 'more' });
    await store.putIfAbsent('holds/noise', Buffer.alloc(200, 7));
    const list = await listHolds(repository);
    assert.equal(list.holds.length, 1);
    assert.deepEqual(list.endedUnseen, [unseen]);
    assert.deepEqual(list.unreadable.map(({ name, error }) => [name, error.code]).sort(), [
      ['holds/later', 'RECORD_UNRECOGNIZED'],
      ['holds/noise', 'OBJECT_DAMAGED'],
    ]);
  });

  it('are never said to be none because the store failed, nor when one vanishes while they are read', async (test) => {
    const faulty = new FaultyStore(memoryStore());
    const { repository } = await createRepository(test, { store: faulty });
    const id = await placeHold(repository, wish);
    for (const call of ['list', 'get'] as const) {
      faulty.heal();
      faulty.plan({ kind: 'fail', call, name: 'holds/' });
      await assert.rejects(listHolds(repository), { code: 'STORE_UNAVAILABLE' });
    }
    faulty.heal();
    const get = faulty.get.bind(faulty);
    test.mock.method(faulty, 'get', async (name: string) => {
      if (name.startsWith('holds/')) await faulty.delete(name);
      return get(name);
    });
    const { holds, unreadable } = await listHolds(repository);
    assert.deepEqual([holds, unreadable.map(({ name }) => name)], [[], [`holds/${id}`]]);
  });

  it('come too late for what is gone, and for what was announced to go', async (test) => {
    const { repository } = await createRepository(test);
    const [there, announced, gone] = [newSnapshotId(), newSnapshotId(), newSnapshotId()];
    for (const id of [there, announced])
      await repository.putJson('snapshot-committed', `snapshots/committed/${id}`, {});
    const completedAt = '2026-03-01T10:05:00.000Z';
    await recordForgotten(repository, [{ id: announced, cluster: 'main', completedAt, reason: 'old' }]);
    const late = await findHeldTooLate(repository, { kind: 'snapshots', snapshots: [there, announced, gone] });
    assert.deepEqual(late, [announced, gone]);
    assert.deepEqual(await findHeldTooLate(repository, { kind: 'everything' }), []);
  });
});
