import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { scratchFor } from '../../test/support/memory-repository.ts';
import { HoldfastError } from '../lib/index.ts';
import { chooseNewKey } from './new-key.ts';
import { Redaction } from './output/index.ts';

const context = { terminal: null, redaction: new Redaction() };

function inputOf(flags: Readonly<Record<string, string>>) {
  return { optional: (name: string) => flags[name], all: () => [] };
}

describe('a new key', () => {
  it('that was drawn stays when the change fails, and the error says how to go on with it', async (test) => {
    const path = join(await scratchFor(test, 'new-key'), 'second.key');
    const drawn = await chooseNewKey(context, inputOf({ 'generate-key-file': path }));
    const denied = new HoldfastError('STORE_DENIED', 'cannot write', { hints: ['Look at its rights.'] });
    await assert.rejects(
      drawn.useFor(() => Promise.reject(denied)),
      {
        ...{ code: 'STORE_DENIED', message: 'cannot write' },
        hints: [
          'Look at its rights.',
          `The key file "${path}" was written and stays: run again with --new-key-file and its path.`,
        ],
      },
    );
    assert.equal((await stat(path)).size, 65);
    await assert.rejects(
      drawn.useFor(async () => {}),
      { code: 'KEY_FILE_EXISTS' },
    );
    const again = await chooseNewKey(context, inputOf({ 'new-key-file': path }));
    assert.equal(await again.useFor(async () => 'slot'), 'slot');
    assert.deepEqual(again.key, drawn.key);
  });

  it('is asked for by a flag where nobody can type one', async () => {
    await assert.rejects(chooseNewKey(context, inputOf({})), {
      ...{ code: 'USAGE_INVALID', message: 'cannot choose a new key: none was named' },
    });
  });
});
