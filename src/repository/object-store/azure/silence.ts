import { type Clock, HoldfastError } from '../../../lib/index.ts';
import { SILENCE_MS_MAX } from '../agents.ts';

/** What one request is given: it ends when `signal` is aborted, and says of every byte that it moved. */
export interface Watched {
  readonly signal: AbortSignal;
  readonly heard: () => void;
}

/**
 * Ends a request that has gone silent, as the SDK waits for ever. `signal`: ends it from outside.
 *
 * Errors: those of the request; `STORE_UNAVAILABLE` when it was ended for its silence.
 */
export async function endingInSilence<T>(
  clock: Clock,
  options: { action: string; signal: AbortSignal | undefined },
  request: (watched: Watched) => Promise<T>,
): Promise<T> {
  const [ended, silent] = [new AbortController(), new AbortController()];
  let heardAt = clock.monotonic();
  const watch = async () => {
    while (!ended.signal.aborted) {
      const rest = heardAt + SILENCE_MS_MAX - clock.monotonic();
      if (rest <= 0) return silent.abort(silence(options.action));
      await clock.sleep(rest, ended.signal);
    }
  };
  const watching = watch();
  const signals = [silent.signal, ...(options.signal === undefined ? [] : [options.signal])];
  try {
    return await request({
      signal: AbortSignal.any(signals),
      heard: () => {
        heardAt = clock.monotonic();
      },
    });
  } catch (error) {
    throw silent.signal.aborted ? silent.signal.reason : error;
  } finally {
    ended.abort();
    await watching;
  }
}

function silence(action: string): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: the server has gone silent`, {
    detail: `Expected a byte within ${SILENCE_MS_MAX / 1000} seconds, found none.`,
    retryable: true,
    hints: ['Wait; if it stays so, check the endpoint, the network and the proxy.'],
  });
}
