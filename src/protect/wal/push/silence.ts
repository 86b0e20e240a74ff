import type { Clock } from '../../../lib/index.ts';

/** Calls `onSilence` when nothing is heard for too long. */
export class Silence {
  readonly #ended = new AbortController();
  readonly #clock: Clock;
  readonly #msMax: number;
  #heardAt: number;

  constructor(clock: Clock, msMax: number, onSilence: () => void) {
    this.#clock = clock;
    this.#msMax = msMax;
    this.#heardAt = clock.monotonic();
    void this.#watch(onSilence);
  }

  isBroken(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  end(): void {
    this.#ended.abort();
  }

  async #watch(onSilence: () => void): Promise<void> {
    for (;;) {
      const leftMs = this.#heardAt + this.#msMax - this.#clock.monotonic();
      if (leftMs <= 0) return onSilence();
      await this.#clock.sleep(leftMs, this.#ended.signal);
      if (this.#ended.signal.aborted) return;
    }
  }
}
