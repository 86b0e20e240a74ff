import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lies, lyingStore } from '../../../../test/support/lying-store.ts';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { storeWith } from '../../../../test/support/store-with.ts';
import { codeOf, type HoldfastError, systemClock } from '../../../lib/index.ts';
import type { ObjectStore } from '../../../repository/index.ts';
import { readWalInventory } from '../inventory.ts';
import { openLineage } from './lineage-keeper.ts';

const beginning = { system: '7', cluster: 'main', segmentBytes: 1 << 24, startTimeline: 1, startLsn: 0x100_0000n };

/** Holds the first put of a lineage back until it is let go. */
function holding(store: ObjectStore, until: Promise<void>): ObjectStore {
  return storeWith(store, {
    putIfAbsent: async (name, parts) => {
      if (/\/lineage$/.test(name)) await until;
      return store.putIfAbsent(name, parts);
    },
  });
}

/** What comes later bears an older time, as when its bytes were written first and its sync took long. */
function withTimesReversed(store: ObjectStore): ObjectStore {
  return storeWith(store, {
    async *list(...given) {
      for await (const entry of store.list(...given)) yield { ...entry, modifiedAt: -entry.modifiedAt };
    },
  });
}

describe('the first lineage of a cluster', () => {
  it('is one when two begin it at once, whatever the times of the store say', async (test) => {
    const place = await createRepository(test);
    const store = withTimesReversed(place.store);
    const held = Promise.withResolvers<void>();
    const quick = await place.open({ store });
    const slow = await place.open({ store: holding(store, held.promise) });

    const second = openLineage(slow, beginning, systemClock);
    const first = await openLineage(quick, beginning, systemClock);
    await systemClock.sleep(5);
    held.resolve();
    assert.equal((await second).lineage.lineage, first.lineage.lineage);
    assert.equal((await readWalInventory(quick)).lineages.length, 1);
    assert.deepEqual([first.created, (await second).created], [true, false]);
  });

  it('does not tell the name of the cluster, and is another one for each cluster and system', async (test) => {
    const { repository } = await createRepository(test);
    const begun = [beginning, { ...beginning, cluster: 'other' }, { ...beginning, system: '8' }];
    const ids = new Set<string>();
    for (const each of begun) ids.add((await openLineage(repository, each, systemClock)).lineage.lineage);
    assert.equal(ids.size, begun.length);
    const { repository: elsewhere } = await createRepository(test);
    assert.ok(!ids.has((await openLineage(elsewhere, beginning, systemClock)).lineage.lineage));
  });

  it('is not joined by a second one where the store gives an old listing, and is found once that is over', async (test) => {
    const place = await createRepository(test);
    const stale = await place.open({ store: lyingStore(lies.staleListing, place.store) });
    const before = await openLineage(stale, beginning, systemClock).catch((error: unknown) => error);
    assert.deepEqual([codeOf(before), (before as HoldfastError).retryable], ['WAL_LINEAGE_ABSENT', true]);
    assert.equal((await readWalInventory(place.repository)).lineages.length, 1);
    const { lineage } = await openLineage(place.repository, beginning, systemClock);
    await assert.rejects(openLineage(stale, beginning, systemClock), { code: 'WAL_LINEAGE_ABSENT' });
    const { lineages } = await readWalInventory(place.repository);
    assert.deepEqual(
      lineages.map((each) => each.lineage),
      [lineage.lineage],
    );
  });

  it('that cannot be read any more does not keep new WAL out', async (test) => {
    const place = await createRepository(test);
    const { lineage } = await openLineage(place.repository, beginning, systemClock);
    for (const name of ['lineage', 'lineage.copy']) {
      const full = `wal/${beginning.system}/${lineage.lineage}/${name}`;
      await place.store.delete(full);
      await place.store.putIfAbsent(full, Buffer.from('not what it was'));
    }
    const next = await openLineage(place.repository, beginning, systemClock);
    assert.notEqual(next.lineage.lineage, lineage.lineage);
    assert.equal(next.created, true);
  });
});
