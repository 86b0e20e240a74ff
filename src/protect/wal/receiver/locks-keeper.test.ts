import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { lockingStore } from '../../../../test/support/locking-store.ts';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { cuttablePlace } from '../../../../test/support/several-places.ts';
import { storeSmallLineage } from '../../../../test/support/small-snapshot.ts';
import { lockRule, memoryStore } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import { fragmentObjectName, segmentObjectName } from '../object-names.ts';
import { Announcer } from './announcer.ts';
import { LocksKeeper } from './locks-keeper.ts';

const day = 86_400_000;
const system = '7000000000000000001';

describe('locks of fragments', () => {
  it('are extended while no whole segment holds their WAL, and not any more then', async (test) => {
    const clock = new ManualClock();
    const store = lockingStore(memoryStore({ clock }), lockRule(10 * day));
    const { repository } = await createRepository(test, { store, clock });
    const { lineage, fragment } = await storeSmallLineage(repository);
    const place = { system, lineage };
    const events: WalEvent[] = [];
    const announcer = new Announcer((event) => events.push(event));
    const fail = (error: unknown) => assert.fail(String(error));
    const keeper = new LocksKeeper({ repository, clock, announcer, place: () => place, onFailure: fail });

    await clock.advance(day);
    await keeper.look();
    assert.deepEqual(store.extended, []);
    await clock.advance(6 * 60 * 60_000);
    await keeper.look();
    assert.deepEqual(store.extended, [fragment]);
    assert.equal(await store.lock.until(fragment), clock.now() + 4 * day);

    store.behaviour = 'denies';
    await clock.advance(2 * day);
    await keeper.look();
    await keeper.look();
    store.behaviour = 'keeps';
    await keeper.look();
    assert.deepEqual(
      events.map((event) => [event.kind, 'alarm' in event && event.alarm]),
      [
        ['alarm', 'locks'],
        ['recovered', 'locks'],
      ],
    );

    await repository.putBody('wal-segment', segmentObjectName(place, '000000010000000000000003'), randomBytes(16));
    store.extended.length = 0;
    await clock.advance(3 * day);
    await keeper.look();
    assert.deepEqual(store.extended, []);
  });

  it('are extended in each place by itself: a place that is away and a fragment that is gone keep no other from it', async (test) => {
    const clock = new ManualClock();
    const store = lockingStore(memoryStore({ clock }), lockRule(10 * day));
    const { repository } = await createRepository(test, { store, clock });
    const { lineage, fragment } = await storeSmallLineage(repository);
    const cuttable = cuttablePlace('near', { inner: memoryStore({ clock }) });
    const [near, far] = [cuttable.store, memoryStore({ clock })].map((each) => lockingStore(each, lockRule(10 * day)));
    for await (const { name } of store.list(''))
      for (const copy of [near!, far!]) await copy.putIfAbsent(name, await store.get(name));
    const places = [store, near!, far!].map((each, i) => ({
      name: ['primary', 'near', 'far'][i]!,
      store: each,
      required: false,
    }));
    Object.assign(store, { places });
    const events: WalEvent[] = [];
    const announcer = new Announcer((event) => events.push(event));
    const fail = (error: unknown) => assert.fail(String(error));
    const keeper = new LocksKeeper({
      repository,
      clock,
      announcer,
      place: () => ({ system, lineage }),
      onFailure: fail,
    });

    store.behaviour = 'denies';
    cuttable.isCut = true;
    await clock.advance(2 * day);
    await keeper.look();
    assert.equal(await far!.lock.until(fragment), clock.now() + 4 * day, 'behind one that denies and one that is away');
    store.behaviour = 'keeps';
    await keeper.look();
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['alarm'],
      'nothing is over while a place was passed over',
    );
    cuttable.isCut = false;
    await keeper.look();
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['alarm', 'recovered'],
    );

    // The fragment is joined between the listing and the question.
    await clock.advance(2 * day);
    const { until } = near!.lock;
    Object.assign(near!.lock, {
      until: async (name: string) => {
        await near!.delete(name);
        return until(name);
      },
    });
    const other = fragmentObjectName(
      { system, lineage },
      { timeline: 1, start: 0x500000n, end: 0x500100n, receiver: '00'.repeat(8) },
    );
    await far!.putIfAbsent(other, randomBytes(16));
    far!.cut(other, null);
    await keeper.look();
    assert.equal(await far!.lock.until(other), clock.now() + 4 * day, 'a copy is asked for what it has itself');
    assert.equal(await near!.stat(fragment), null);
    assert.equal(events.length, 2);
  });

  it('are looked after from the start on, where the place is asked for locks, and end when told to', async (test) => {
    const clock = new ManualClock();
    const store = lockingStore(memoryStore({ clock }), lockRule(10 * day));
    const { repository } = await createRepository(test, { store, clock });
    const { lineage, fragment } = await storeSmallLineage(repository);
    const options = { repository, clock, announcer: new Announcer(() => {}), onFailure: () => {} };
    const keeper = new LocksKeeper({ ...options, place: () => ({ system, lineage }) });
    store.cut(fragment, null);
    keeper.begin();
    await clock.advance(1);
    assert.deepEqual(store.extended, [fragment]);
    await keeper.end();
    const { repository: plain } = await createRepository(test, { clock });
    const idle = new LocksKeeper({ ...options, repository: plain, place: () => assert.fail('nothing is locked here') });
    idle.begin();
    await idle.end();
  });
});
