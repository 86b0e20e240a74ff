import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HastyClock } from '../../../../test/support/odd-clocks.ts';
import { HoldfastError } from '../../../lib/index.ts';
import { Persistence } from './persistence.ts';

function make() {
  const clock = new HastyClock();
  const stop = new AbortController();
  const told: string[] = [];
  const persistence = new Persistence({
    ...{ clock, signal: stop.signal },
    onAway: (error) => told.push(error.code),
    onBack: () => told.push('back'),
  });
  /** Fails with these codes, one after the other, then succeeds. */
  const act = (codes: string[], retryable = false) => {
    const left = [...codes];
    return async () => {
      const code = left.shift();
      if (code !== undefined) throw new HoldfastError(code, 'planned by the test', { retryable });
      return 'done';
    };
  };
  return { clock, stop, told, persistence, act };
}

describe('storing what must be stored', () => {
  it('asks a store that is away again and again, ever more rarely, and tells of it once', async () => {
    const { clock, told, persistence, act } = make();
    assert.equal(await persistence.run(act(Array(10).fill('STORE_UNAVAILABLE'), true)), 'done');
    assert.deepEqual(told, ['STORE_UNAVAILABLE', 'back']);
    assert.deepEqual(clock.slept.slice(0, 3), [500, 1_000, 2_000]);
    assert.equal(Math.max(...clock.slept), 30_000);
  });

  it('tells once of a trouble that several things meet at the same time, and of its end when the last of them is done', async () => {
    const { told, persistence, act } = make();
    const first = persistence.run(act(['STORE_UNAVAILABLE'], true));
    const last = persistence.run(act(Array(5).fill('STORE_UNAVAILABLE'), true));
    await persistence.run(act([]));
    assert.deepEqual(told, ['STORE_UNAVAILABLE'], 'what was never refused says nothing');
    await first;
    assert.deepEqual(told, ['STORE_UNAVAILABLE']);
    await last;
    assert.deepEqual(told, ['STORE_UNAVAILABLE', 'back']);
  });

  it('waits for space and for a mount, too', async () => {
    const { persistence, act } = make();
    assert.equal(await persistence.run(act(['STORE_FULL', 'STORE_ABSENT'])), 'done');
  });

  it('repeats nothing that cannot pass, above all no failed sync', async () => {
    const { persistence, told, act } = make();
    for (const code of ['STORE_SYNC_FAILED', 'STORE_DENIED', 'STORE_FAILED', 'OBJECT_DAMAGED']) {
      await assert.rejects(persistence.run(act([code])), { code });
    }
    assert.deepEqual(told, []);
  });

  it('tries once when the end was asked for', async () => {
    const { persistence, stop, act } = make();
    stop.abort();
    await assert.rejects(persistence.run(act(['STORE_UNAVAILABLE'], true)), { code: 'STORE_UNAVAILABLE' });
    assert.equal(await persistence.run(act([])), 'done');
  });
});
