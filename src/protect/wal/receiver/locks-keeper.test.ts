import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { lockingStore } from '../../../../test/support/locking-store.ts';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { storeSmallLineage } from '../../../../test/support/small-snapshot.ts';
import { lockRule, memoryStore } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import { segmentObjectName } from '../object-names.ts';
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
