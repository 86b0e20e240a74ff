import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { HoldfastError } from '../../lib/index.ts';
import { targetErrorOf } from './target-error.ts';

async function thrownBy(action: () => Promise<unknown>): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

describe('what the system says of the target of a restore', () => {
  it('names the place, the words of the system and what to do', async () => {
    const found = targetErrorOf(await thrownBy(() => open('/nowhere/at/all')), '/the/place');
    assert.ok(found instanceof HoldfastError);
    assert.equal(found.code, 'RESTORE_TARGET_WRITE_FAILED');
    assert.match(found.message, /"\/the\/place"$/);
    assert.match(found.detail ?? '', /ENOENT/);
  });

  it('says so when there is no space', { skip: process.platform !== 'linux' && '/dev/full is Linux’s' }, async () => {
    await using device = await open('/dev/full', 'w');
    const found = targetErrorOf(await thrownBy(() => device.writeFile('x')), '/the/place') as HoldfastError;
    assert.match(found.message, /no space left/);
    assert.match(found.hints.join(), /Free space/);
  });

  it('leaves other errors as they are', () => {
    for (const error of [new HoldfastError('OBJECT_DAMAGED', 'x'), new TypeError('x'), 'x'])
      assert.equal(targetErrorOf(error, '/the/place'), error);
  });
});
