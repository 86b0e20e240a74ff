import type { Clock } from '../../lib/index.ts';

/** How far one may run ahead of the rate after a pause: enough to keep a line busy, little enough not to fill it. */
const BURST_MS = 100;

/**
 * A rate that many transfers share. Each asks before it moves a piece and is let through in the order of asking.
 *
 * What is asked for is taken at once, and the next one waits for it: a piece may be larger than any burst.
 */
export class RateLimit {
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  /** The monotonic time at which all that was let through so far is paid for. */
  #paidAt = 0;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#clock = clock;
  }

  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    const start = Math.max(this.#paidAt, now - BURST_MS);
    this.#paidAt = start + bytes / this.#bytesPerMs;
    if (start > now) await this.#clock.sleep(start - now, signal);
  }
}
