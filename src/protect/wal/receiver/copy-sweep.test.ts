import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { cuttablePlace, namesIn, severalPlaces } from '../../../../test/support/several-places.ts';
import type { ObjectStore } from '../../../repository/index.ts';
import { readWalInventory } from '../inventory.ts';
import { encodeLineageHeader } from '../lineage.ts';
import { fragmentObjectName, lineageObjectName, segmentObjectName } from '../object-names.ts';
import { CopySweep } from './copy-sweep.ts';

const place = { system: '7000000000000000001', lineage: 'ab'.repeat(32) };
const segmentBytes = 1 << 20;

describe('the sweep of copies', () => {
  it('removes from a copy the fragments whose whole segment it has, and that the primary has joined', async (test) => {
    const copies = [cuttablePlace('one', { required: true }), cuttablePlace('away')];
    const places = severalPlaces(test, { copies });
    const { repository } = await createRepository(test, { store: places.store });
    const header = { ...place, cluster: 'shop', createdAt: new Date().toISOString(), segmentBytes };
    const began = { startTimeline: 1, startLsn: BigInt(segmentBytes), parent: null };
    await repository.putJson('wal-lineage', lineageObjectName(place), encodeLineageHeader({ ...header, ...began }));
    const fragment = (number: number, part: number) => {
      const start = BigInt(number * segmentBytes + part);
      return fragmentObjectName(place, { timeline: 1, start, end: start + 1n, receiver: '00'.repeat(8) });
    };
    const segment = (number: number) => segmentObjectName(place, `00000001000000000000000${number}`);
    for (const [number, part] of [
      [1, 0],
      [1, 1],
      [2, 0],
      [3, 0],
      [4, 0],
    ] as const)
      await repository.putBody('wal-fragment', fragment(number, part), Buffer.of(1));
    await repository.putBody('wal-segment', segment(1), Buffer.alloc(100));
    await repository.putBody('wal-segment', segment(2), Buffer.alloc(100));
    await repository.putBody('wal-segment', segment(4), Buffer.alloc(100));
    await places.store.settled();
    // Joined in the primary; the second segment the copy has lost, and of the fourth it has other bytes, as many.
    for (const name of [fragment(1, 0), fragment(1, 1), fragment(2, 0), fragment(4, 0)])
      await places.store.delete(name);
    const { inner } = copies[0]!;
    await inner.delete(segment(2));
    const other = Buffer.from(await inner.get(segment(4)));
    other[other.length - 1]! ^= 1;
    await inner.delete(segment(4));
    await inner.putIfAbsent(segment(4), other);
    copies[1]!.isCut = true;
    const [lineage] = (await readWalInventory(repository)).lineages;
    const fragmentsIn = async (store: ObjectStore) =>
      (await namesIn(store, 'wal/')).filter((name) => name.includes('/fragments/'));
    const stopped = new CopySweep(places.store);
    stopped.start(lineage!);
    stopped.cut();
    await stopped.settled();
    assert.equal((await fragmentsIn(inner)).length, 5, 'a sweep that is cut leaves the rest to the next one');
    const sweep = new CopySweep(places.store);
    sweep.start(lineage!);
    await sweep.settled();
    assert.deepEqual(await fragmentsIn(inner), [fragment(2, 0), fragment(3, 0), fragment(4, 0)]);
    copies[1]!.isCut = false;
    assert.equal((await fragmentsIn(copies[1]!.inner)).length, 5, 'a place that is away keeps what it has');
  });
});
