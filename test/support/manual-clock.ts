import type { Clock } from '../../src/lib/index.ts';

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now: number;
  readonly #sleepers = new Set<{ until: number; wake: () => void }>();

  /** `now` is in milliseconds since 1970. */
  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = { until: this.#now + ms, wake: () => resolve() };
      this.#sleepers.add(sleeper);
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers.delete(sleeper);
          resolve();
        },
        { once: true },
      );
    });
  }

  /** Lets time pass, waking each sleeper at its moment and giving it room to act. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await new Promise(setImmediate);
      const next = [...this.#sleepers].filter((sleeper) => sleeper.until <= end).sort((a, b) => a.until - b.until)[0];
      if (next === undefined) break;
      this.#sleepers.delete(next);
      this.#now = Math.max(this.#now, next.until);
      next.wake();
    }
    this.#now = end;
    await new Promise(setImmediate);
  }
}
