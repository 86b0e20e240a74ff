/**
 * Time as something that is handed in, so that a test can hold it still.
 *
 * `now` is wall-clock time in milliseconds since 1970 (UTC); `monotonic` is milliseconds from an arbitrary start and never
 * steps back. `sleep` ends early, without an error, when `signal` is aborted.
 */
export interface Clock {
  now(): number;
  monotonic(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    }),
};
