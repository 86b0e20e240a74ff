import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { endingInSilence } from './silence.ts';

const options = { action: 'read', signal: undefined };
const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('ended'))));

describe('a request', () => {
  it('is ended once it has been silent for a minute, and may be tried again', async () => {
    const clock = new ManualClock();
    const request = endingInSilence(clock, options, ({ signal }) => aborted(signal));
    const refused = assert.rejects(request, { code: 'STORE_UNAVAILABLE', retryable: true });
    await clock.advance(59_000);
    await clock.advance(1_000);
    await refused;
  });

  it('may take any time while bytes move, and ends as it would', async () => {
    const clock = new ManualClock();
    let [move, end] = [() => {}, (_: string) => {}];
    const request = endingInSilence(clock, options, ({ heard, signal }) => {
      move = heard;
      return Promise.race([aborted(signal), new Promise<string>((resolve) => (end = resolve))]);
    });
    for (let minutes = 0; minutes < 10; minutes++) {
      await clock.advance(50_000);
      move();
    }
    end('done');
    assert.equal(await request, 'done');
    await assert.rejects(
      endingInSilence(clock, options, async () => {
        throw new Error('its own');
      }),
      { message: 'its own' },
    );
  });

  it('is ended from outside', async () => {
    const stopped = new AbortController();
    const request = endingInSilence(new ManualClock(), { ...options, signal: stopped.signal }, ({ signal }) =>
      aborted(signal),
    );
    stopped.abort();
    await assert.rejects(request, { message: 'ended' });
  });
});
