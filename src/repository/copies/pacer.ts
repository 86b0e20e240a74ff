import type { Clock } from '../../lib/index.ts';

/** Lets so many bytes pass in a second, over all that use it together. */
export class Pacer {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  readonly #signal: AbortSignal | undefined;
  /** When all that was let pass so far will have had its time, on the clock's monotonic scale. */
  #busyUntil = 0;

  constructor(options: { clock: Clock; bytesPerSecond: number; signal?: AbortSignal }) {
    this.#clock = options.clock;
    this.#bytesPerSecond = options.bytesPerSecond;
    this.#signal = options.signal;
  }

  /** Settles when the bytes may be sent. */
  readonly take = async (bytes: number): Promise<void> => {
    const now = this.#clock.monotonic();
    const from = Math.max(now, this.#busyUntil);
    this.#busyUntil = from + (bytes * 1000) / this.#bytesPerSecond;
    if (from > now) await this.#clock.sleep(from - now, this.#signal);
    this.#signal?.throwIfAborted();
  };
}
