import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { namesIn } from '../../../test/support/listing.ts';
import { type Lies, lies, lyingStore } from '../../../test/support/lying-store.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { keyFileIn, scratchFor } from '../../../test/support/memory-repository.ts';
import { type Clock, systemClock } from '../../lib/index.ts';
import { initRepository } from '../init-repository.ts';
import { memoryStore, type ObjectStore, openDiskStore, retrying } from '../object-store/index.ts';
import { PROBE_PREFIX, probeStore, type StorePromise, storePromises, whyUnfit } from './index.ts';

const clock = systemClock;

async function outcomesOf(store: ObjectStore, of: Clock = clock) {
  const probe = await probeStore(store, { clock: of });
  const having = (outcome: string) => storePromises.filter((promise) => probe.findings[promise].outcome === outcome);
  return { probe, broken: having('broken'), unseen: having('unseen'), notOffered: having('not-offered') };
}

describe('the probe of a store', () => {
  const honest: [string, (scratch: string) => ObjectStore][] = [
    ['memory', () => memoryStore()],
    ['a disk', (scratch) => openDiskStore(scratch)],
    ['a disk behind the store that repeats', (scratch) => retrying(openDiskStore(scratch), { clock })],
  ];
  for (const [title, open] of honest) {
    it(`finds every promise kept by ${title}, and leaves nothing there`, async (test) => {
      const store = open(await scratchFor(test, 'probe'));
      const { probe, broken, unseen, notOffered } = await outcomesOf(store);
      assert.deepEqual({ broken, unseen, notOffered }, { broken: [], unseen: [], notOffered: ['versioning', 'lock'] });
      assert.equal(whyUnfit(store, probe), null);
      assert.deepEqual(await namesIn(store), []);
      assert.deepEqual(probe.leftBehind, []);
    });
  }

  const cases: [keyof typeof lies, StorePromise[], string][] = [
    ['overwrites', ['create-once', 'create-once-at-once'], 'STORE_OVERWRITES'],
    ['overwritesAndSaysNot', ['create-once', 'create-once-at-once'], 'STORE_OVERWRITES'],
    ['checksTooEarly', ['create-once-at-once'], 'STORE_OVERWRITES'],
    ['remembersAbsence', ['read-after-write', 'overwrite'], 'STORE_READS_WRONG'],
    ['otherBytes', ['create-once-at-once', 'read-after-write', 'overwrite'], 'STORE_OVERWRITES'],
    ['noRange', ['ranged-read'], 'STORE_READS_WRONG'],
    ['refusesRange', ['ranged-read'], 'STORE_READS_WRONG'],
    ['paddedRange', ['ranged-read'], 'STORE_READS_WRONG'],
    ['staleListing', ['list-after-write'], 'STORE_LISTS_LATE'],
    ['staleOverwrite', ['overwrite'], 'STORE_READS_WRONG'],
    ['neverDeletes', ['delete'], 'STORE_KEEPS_DELETED'],
    ['listsDeleted', ['delete'], 'STORE_KEEPS_DELETED'],
    ['noLocks', ['lock'], 'STORE_LOCK_ABSENT'],
    ['clockAhead', ['clock'], 'STORE_CLOCK_SKEWED'],
    ['datesBehind', ['clock'], 'STORE_CLOCK_SKEWED'],
  ];
  for (const [lie, expected, code] of cases) {
    it(`finds out a store that "${lie}", and no repository is made there`, async (test) => {
      const inner = memoryStore();
      const store = lyingStore(lies[lie] as Lies, inner);
      const { probe, broken } = await outcomesOf(store);
      assert.deepEqual(broken, expected);
      const reason = whyUnfit(store, probe);
      assert.equal(reason?.code, code);
      assert.match(reason.detail ?? '', /^Expected .+, found .+\.$/);
      const credential = await keyFileIn(await scratchFor(test, 'probe'));
      await assert.rejects(initRepository({ store, credential, clock }), { code });
      const left = (await namesIn(inner)).filter((name) => !name.startsWith(PROBE_PREFIX));
      assert.deepEqual(left, []);
    });
  }

  it('works with credentials that may not delete, says so, and a repository can be made there', async (test) => {
    const inner = memoryStore();
    const store = lyingStore(lies.mayNotDelete, inner);
    const { probe, broken, unseen } = await outcomesOf(store);
    assert.deepEqual({ broken, unseen }, { broken: [], unseen: ['delete'] });
    assert.deepEqual(probe.leftBehind.toSorted(), await namesIn(inner));
    assert.ok(probe.leftBehind.every((name) => probe.findings.delete.found.includes(name)));
    const credential = await keyFileIn(await scratchFor(test, 'probe'));
    await (await initRepository({ store, credential, clock })).close();
    assert.ok((await namesIn(inner)).includes('format'));
  });

  it('takes credentials that may not overwrite for those of a copy, and not for those of a writer', async (test) => {
    const store = lyingStore(lies.mayNotOverwrite);
    const { probe, broken, unseen } = await outcomesOf(store);
    assert.deepEqual({ broken, unseen }, { broken: [], unseen: ['overwrite'] });
    assert.deepEqual(await namesIn(store), []);
    assert.equal(whyUnfit(store, probe)?.code, 'STORE_DENIED');
    const credential = await keyFileIn(await scratchFor(test, 'probe'));
    await assert.rejects(initRepository({ store, credential, clock }), { code: 'STORE_DENIED' });
    assert.deepEqual(await namesIn(store), []);
  });

  it('removes after an hour what an earlier one had to leave, and nothing else', async () => {
    const own = new ManualClock();
    const inner = memoryStore({ clock: own });
    await inner.putVolatile('volatile/leases/a', Buffer.from('x'));
    const { leftBehind } = await probeStore(lyingStore(lies.mayNotDelete, inner), { clock: own });
    await own.advance(59 * 60_000);
    await probeStore(inner, { clock: own });
    assert.deepEqual(await namesIn(inner), ['volatile/leases/a', ...leftBehind.toSorted()]);
    await own.advance(2 * 60_000);
    await probeStore(inner, { clock: own });
    assert.deepEqual(await namesIn(inner), ['volatile/leases/a']);
  });

  it('leaves nothing behind, wherever it is broken off by an error', async () => {
    const whole = new FaultyStore(memoryStore());
    await probeStore(whole, { clock });
    for (let nth = 1; nth <= whole.calls.length; nth++) {
      const inner = memoryStore();
      const faulty = new FaultyStore(inner).plan({ kind: 'fail', call: 'any', nth });
      await assert.rejects(probeStore(faulty, { clock }), { code: 'STORE_UNAVAILABLE' });
      assert.deepEqual(await namesIn(inner), [], `after the error of call ${nth}: ${whole.calls[nth - 1]}`);
    }
  });

  it('takes a slow answer and a clock of whole seconds for no difference', async () => {
    const own = new ManualClock(Date.UTC(2026, 0, 1) + 999);
    const slow = lyingStore(
      (honest) => ({
        now: async () => {
          const theirs = Math.floor((await honest.now()) / 1000) * 1000;
          await own.advance(90_000);
          return theirs;
        },
      }),
      memoryStore({ clock: own }),
    );
    assert.equal((await probeStore(slow, { clock: own })).offsetMs, 0);
  });

  it('tells by how much the clocks differ, and in which direction', async () => {
    const own = new ManualClock();
    const at = (offset: number) =>
      lyingStore((honest) => ({ now: async () => (await honest.now()) + offset }), memoryStore({ clock: own }));
    assert.equal((await probeStore(at(5500), { clock: own })).offsetMs, 5500);
    assert.equal((await probeStore(at(-5500), { clock: own })).offsetMs, -5500);
  });
});
