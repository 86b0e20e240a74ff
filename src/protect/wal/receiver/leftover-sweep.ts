import { isStoreAway } from './persistence.ts';
import { type SweepOptions, sweepFragments } from './sweep.ts';

/** Sweeps once for each receiver: later leftovers are its own, and it leaves none while it lives. */
export class LeftoverSweep {
  readonly #onFailure: (error: unknown) => void;
  readonly #stop = new AbortController();
  #sweeping: Promise<void> | null = null;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  start(options: Omit<SweepOptions, 'signal'>): void {
    this.#sweeping ??= sweepFragments({ ...options, signal: this.#stop.signal }).catch((error) => {
      // Leftovers can wait; what else went wrong must not be passed over.
      if (!isStoreAway(error)) this.#onFailure(error);
    });
  }

  /** What is not finished is left to the next receiver. */
  cut(): void {
    this.#stop.abort();
  }

  async settled(): Promise<void> {
    await this.#sweeping;
  }
}
