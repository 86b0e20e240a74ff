import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { listDamage, listDamagedPacks, recordDamage } from './damage-record.ts';

describe('damage records', () => {
  it('say once what was found, and list the packs', async (test) => {
    const { repository, store } = await createRepository(test);
    const [one, two] = [randomBytes(32), randomBytes(32)];
    await recordDamage(repository, one, { frames: 2 });
    await recordDamage(repository, one, { frames: 9 });
    await recordDamage(repository, two, {});
    const records = await listDamage(repository);
    assert.deepEqual(
      new Map(records.map(({ pack, facts }) => [pack, facts])),
      new Map([
        [one.toString('hex'), { frames: 2 }],
        [two.toString('hex'), {}],
      ]),
    );
    assert.deepEqual(await listDamagedPacks(store), new Set([one, two].map((id) => id.toString('hex'))));
  });

  it('count by their name even when they are damaged themselves', async (test) => {
    const { repository, store } = await createRepository(test);
    const pack = 'ab'.repeat(32);
    await store.putIfAbsent(`damage/${pack}`, Buffer.from('noise'));
    assert.deepEqual(await listDamagedPacks(store), new Set([pack]));
    await assert.rejects(listDamage(repository), { code: 'OBJECT_DAMAGED' });
  });
});
