import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HoldfastError, withHint } from './errors.ts';

describe('an error with one more hint', () => {
  it('is the same in all else, also in whether it may pass by itself', () => {
    const cause = new Error('ENOSPC');
    const parts = { detail: 'Expected room, found none.', retryable: true, cause };
    const {
      name,
      code,
      message,
      detail,
      hints,
      retryable,
      cause: kept,
    } = withHint(
      new HoldfastError('STORE_FULL', 'could not store it', { ...parts, hints: ['Free space.'] }),
      'Look again.',
    );
    assert.deepEqual(
      { name, code, message, detail, hints, retryable, cause: kept },
      {
        ...{ name: 'HoldfastError', code: 'STORE_FULL', message: 'could not store it', ...parts },
        hints: ['Free space.', 'Look again.'],
      },
    );
    const bare = withHint(new HoldfastError('X', 'x'), 'Look.');
    assert.deepEqual([bare.detail, bare.retryable, 'cause' in bare], [undefined, false, false]);
  });
});
