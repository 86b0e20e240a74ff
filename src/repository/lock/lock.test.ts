import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lockingStore } from '../../../test/support/locking-store.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { memoryStore } from '../object-store/index.ts';
import { extendLocks, proveLock } from './extend-locks.ts';
import { lockNeed, lockRule, whyLockTooShort } from './lock-rule.ts';

const day = 86_400_000;
const fragment = `wal/71/${'ab'.repeat(32)}/fragments/00000001.0000000001000000.0000000001000100.${'0'.repeat(16)}`;

describe('the rule of locks', () => {
  const rule = lockRule(60 * day);

  it('leaves what is volatile unlocked, fragments locked for days, and all else for the days of the place and a stride', () => {
    assert.equal(rule('volatile/leases/a'), null);
    assert.equal(rule('volatile/probe-1'), null);
    assert.equal(rule(fragment), 4 * day);
    for (const name of [
      'format',
      'keys/a',
      'packs/a',
      'index/a',
      'snapshots/committed/a',
      'wal/1/b/segments/C',
      'ledger/a/1',
    ])
      assert.equal(rule(name), 90 * day, name);
    assert.equal(rule('packs/volatile/fragments/'), 90 * day);
  });

  it('needs a stride less than it locks, so that what is extended is left alone for thirty days', () => {
    assert.equal(lockNeed(rule, 'packs/a'), 60 * day);
    assert.equal(lockNeed(rule, fragment), 3 * day);
    assert.equal(lockNeed(rule, 'volatile/a'), null);
  });

  it('takes one day to ten years only', () => {
    for (const days of [0, -1, 0.5, 3651, Number.NaN])
      assert.throws(() => lockRule(days * day), { name: 'AssertionFailed' });
    assert.equal(lockRule(3650 * day)('format'), 3680 * day);
  });

  it('says when locks run out between two backups', () => {
    assert.equal(whyLockTooShort(7 * day, 6 * day), null);
    assert.match(whyLockTooShort(7 * day, 6.5 * day) ?? '', /locked for 7 days, and backups are 6\.5 days apart/);
    assert.match(whyLockTooShort(day, day) ?? '', /locked for 1 day,/);
  });
});

describe('extending locks', () => {
  const setUp = async (count: number) => {
    const clock = new ManualClock();
    const store = lockingStore(memoryStore({ clock }), lockRule(10 * day));
    const names = Array.from({ length: count }, (_, i) => `packs/${String(i).padStart(5, '0')}`);
    for (const name of names) await store.putIfAbsent(name, Buffer.from(name));
    return { clock, store, names };
  };

  it('touches nothing while more than the need remains, and everything once when less does', async () => {
    const { clock, store, names } = await setUp(200);
    assert.equal((await extendLocks({ store, names })).extended, 0);
    await clock.advance(30 * day);
    assert.equal((await extendLocks({ store, names })).extended, 0);
    await clock.advance(1);
    const { extended, objects, until } = await extendLocks({ store, names });
    assert.deepEqual([extended, objects], [200, 200]);
    assert.equal(until, clock.now() + 40 * day);
    await clock.advance(day);
    assert.equal((await extendLocks({ store, names })).extended, 0);
  });

  it('asks nothing of the store about what is known, and learns what it did not know', async () => {
    const { clock, store, names } = await setUp(10_000);
    const known = new Map<string, number>();
    assert.deepEqual(await extendLocks({ store, names, known }), {
      until: clock.now() + 40 * day,
      objects: 10_000,
      asked: 10_000,
      extended: 0,
      absent: 0,
    });
    store.asked.length = 0;
    await clock.advance(29 * day);
    assert.equal((await extendLocks({ store, names: [...names, 'volatile/x'], known })).asked, 0);
    assert.equal(store.asked.length, 0);
    await clock.advance(2 * day);
    assert.equal((await extendLocks({ store, names, known })).extended, 10_000);
    assert.equal(known.get(names[0]!), clock.now() + 40 * day);
  });

  it('gives the earliest end of all, and never shortens a longer lock', async () => {
    const { clock, store, names } = await setUp(3);
    store.cut(names[1]!, clock.now() + 900 * day);
    store.cut(names[2]!, clock.now() + 11 * day);
    assert.equal((await extendLocks({ store, names })).until, clock.now() + 11 * day);
    assert.equal(await store.lock.until(names[1]!), clock.now() + 900 * day);
    store.cut(names[0]!, null);
    assert.equal((await extendLocks({ store, names: names.slice(0, 1) })).until, clock.now() + 40 * day);
  });

  it('ends with what went wrong: an object that is gone, a right that lacks, a server that forgets', async () => {
    const { store, names } = await setUp(2);
    await assert.rejects(extendLocks({ store, names: [...names, 'packs/none'] }), { code: 'OBJECT_ABSENT' });
    const passing = await extendLocks({ store, names: ['packs/none', ...names], passesAbsent: true });
    assert.deepEqual([passing.objects, passing.absent], [3, 1]);
    store.cut(names[0]!, null);
    store.behaviour = 'denies';
    await assert.rejects(extendLocks({ store, names }), { code: 'STORE_DENIED' });
    await assert.rejects(proveLock(store, names[0]!), { code: 'STORE_DENIED' });
    store.behaviour = 'forgets';
    await assert.rejects(extendLocks({ store, names }), { code: 'LOCK_REFUSED', message: /packs\/00000/ });
    await assert.rejects(proveLock(store, names[0]!), { code: 'LOCK_REFUSED' });
    store.behaviour = 'has-none';
    await assert.rejects(proveLock(store, names[0]!), { code: 'STORE_LOCK_ABSENT' });
    store.behaviour = 'keeps';
    await proveLock(store, names[0]!);
    assert.deepEqual(store.extended.at(-1), names[0]);
  });
});
