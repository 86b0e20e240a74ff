import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { namesIn } from '../../../test/support/listing.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { type LedgerEntry, readEntry } from '../../ledger/index.ts';
import { HoldfastError, silentProgress } from '../../lib/index.ts';
import type { Attempt, AttemptAnswer, AttemptId } from '../../repository/index.ts';
import { runAttackTest } from './run-attack-test.ts';

/** An attempt that is answered so; without an answer, by a server that broke down. */
const attempt = (id: AttemptId, answer: AttemptAnswer | null): Attempt => ({
  ...{ id, on: 'place' },
  run: async () => {
    if (answer !== null) return answer;
    throw new HoldfastError('STORE_UNAVAILABLE', `could not try the attack "${id}": 503`, { retryable: true });
  },
});

describe('an attack test', () => {
  for (const [title, attempts, safe, succeeded, notKnown] of [
    [
      'is safe when all is refused, or not there to be attacked',
      [attempt('delete', 'denied'), attempt('shorten-lock', 'inapplicable')],
      true,
      [],
      [],
    ],
    [
      'is safe when nothing is in doubt but what loses no backup',
      [attempt('hold', null), attempt('delete', 'denied')],
      true,
      [],
      [],
    ],
    [
      'is not safe when it could not be found out of a dangerous attack',
      [attempt('delete', null), attempt('change-policy', null)],
      false,
      [],
      ['delete', 'change-policy'],
    ],
    [
      'is not safe when a dangerous attack succeeded',
      [attempt('change-policy', 'accepted')],
      false,
      ['change-policy'],
      [],
    ],
  ] as const) {
    it(title, async (test) => {
      const { repository, store, scratch } = await createRepository(test);
      const intruder = { attempts, tidy: async () => {}, close: () => {} };
      const result = await runAttackTest({
        repository,
        places: [{ name: 'primary', intruder, open: async () => store }],
        stateDirectory: scratch,
        progress: silentProgress,
      });
      assert.deepEqual([result.isSafe, result.inDoubt], [safe, notKnown.length]);
      const entries: LedgerEntry[] = [];
      for (const name of await namesIn(store, 'ledger/'))
        entries.push(readEntry(repository, name, await store.get(name)));
      assert.deepEqual(
        entries.map(({ outcome, facts }) => ({ outcome, facts })),
        [{ outcome: safe ? 'done' : 'failed', facts: { baits: attempts.length, succeeded, notKnown } }],
      );
    });
  }
});
