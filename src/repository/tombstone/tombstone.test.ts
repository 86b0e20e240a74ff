import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { memoryStore } from '../object-store/index.ts';
import { listTombstonedPacks, listTombstones } from './tombstone-record.ts';

const [packA, packB, packC] = ['aa', 'bb', 'cc'].map((byte) => byte.repeat(32)) as [string, string, string];
const createdAt = '2026-03-01T10:00:00.000Z';

describe('tombstones', () => {
  it('name the packs that are about to go', async (test) => {
    const { repository } = await createRepository(test);
    assert.deepEqual(await listTombstones(repository), []);
    const records = [
      [packA, packB],
      [packB, packC],
    ].map((packs) => ({ version: 1 as const, createdAt, packs }));
    for (const [i, record] of records.entries()) await repository.putJson('tombstone', `tombstones/${i}`, record);
    assert.deepEqual(await listTombstones(repository), records);
    assert.deepEqual(await listTombstonedPacks(repository), new Set([packA, packB, packC]));
  });

  it('stop whoever cannot read them, or cannot reach them', async (test) => {
    const faulty = new FaultyStore(memoryStore());
    const { repository } = await createRepository(test, { store: faulty });
    await repository.putJson('tombstone', 'tombstones/0', { version: 2, createdAt, everything: true });
    await assert.rejects(listTombstonedPacks(repository), { code: 'RECORD_UNRECOGNIZED' });
    await faulty.delete('tombstones/0');
    faulty.plan({ kind: 'fail', call: 'list' });
    await assert.rejects(listTombstonedPacks(repository), { code: 'STORE_UNAVAILABLE' });
  });
});
