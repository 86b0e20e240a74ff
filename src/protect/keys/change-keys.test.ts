import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRepository, keyFileIn } from '../../../test/support/memory-repository.ts';
import { addSlot } from '../../repository/index.ts';
import { findSlot } from './change-keys.ts';

describe('a key slot that somebody names', () => {
  it('is found by its label or the first digits of its id, and never guessed', async (test) => {
    const { repository, scratch } = await createRepository(test);
    const [anna, ben] = [await addSlot(repository, await keyFileIn(scratch), 'anna'), await addOther('ben')];
    assert.equal((await findSlot(repository, 'anna')).slot, anna);
    assert.equal((await findSlot(repository, ben)).slot, ben);
    await addOther('ben');
    const ambiguous = { code: 'KEY_SLOT_AMBIGUOUS', detail: new RegExp(ben.slice(0, 12)) };
    await assert.rejects(findSlot(repository, 'ben'), ambiguous);
    for (const none of ['', 'an', 'carl', '0'.repeat(32)])
      await assert.rejects(findSlot(repository, none), { code: 'KEY_SLOT_ABSENT' });

    async function addOther(label: string): Promise<string> {
      return addSlot(repository, await keyFileIn(scratch), label);
    }
  });
});
