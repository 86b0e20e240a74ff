import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';

/** How long a receiver waits before it asks the store again; the store itself has waited, too. */
const STORE_RETRY_MS_MIN = 500;
const STORE_RETRY_MS_MAX = 30_000;

/** What may pass or be mended while the receiver waits: no answer, no space, no mount. A failed sync is not among them (rule C1). */
const PASSING_CODES = new Set(['STORE_UNAVAILABLE', 'STORE_FULL', 'STORE_ABSENT']);

/**
 * Repeats what the store refused, for ever, and says so once at the beginning and once at the end of each trouble: that is over when nothing that was
 * refused still waits, whatever else succeeded meanwhile.
 */
export class Persistence {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onAway: (error: HoldfastError) => void;
  readonly #onBack: () => void;
  #refused = 0;

  constructor(options: {
    clock: Clock;
    signal: AbortSignal;
    onAway: (error: HoldfastError) => void;
    onBack: () => void;
  }) {
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#onAway = options.onAway;
    this.#onBack = options.onBack;
  }

  /** Calls `act` until it succeeds, or fails for good, or the signal is given: then it is tried once. `act` is safe to repeat. */
  async run<T>(act: () => Promise<T>): Promise<T> {
    let isRefused = false;
    try {
      for (let delayMs = STORE_RETRY_MS_MIN; ; delayMs = Math.min(delayMs * 2, STORE_RETRY_MS_MAX)) {
        try {
          const result = await act();
          if (isRefused && this.#refused === 1) this.#onBack();
          return result;
        } catch (error) {
          if (!isStoreAway(error) || this.#signal.aborted) throw error;
          if (!isRefused && this.#refused++ === 0) this.#onAway(error);
          isRefused = true;
        }
        await this.#clock.sleep(delayMs, this.#signal);
      }
    } finally {
      if (isRefused) this.#refused -= 1;
    }
  }
}

/** True for trouble of the store that may be over when it is asked again. */
export function isStoreAway(error: unknown): error is HoldfastError {
  if (!(error instanceof HoldfastError)) return false;
  const isOfStore = codeOf(error)?.startsWith('STORE_') === true;
  return PASSING_CODES.has(error.code) || (isOfStore && error.retryable);
}
