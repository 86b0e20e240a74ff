import { type Clock, HoldfastError } from '../../lib/index.ts';

/** What failed is tried again after so long, doubled up to the second. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

interface LoopOptions {
  readonly clock: Clock;
  /** One step of work; gives for how long there is nothing to do: 0 for not at all, `null` for until the loop is woken. Safe to repeat. */
  readonly step: () => Promise<number | null>;
  readonly onTrouble: (error: HoldfastError) => void;
  readonly onWell: () => void;
  /** The longest pause after trouble. */
  readonly retryMsMax?: number;
}

/** Work that goes on beside all other: step after step, again after trouble, until it is closed. */
export class Loop {
  readonly #options: LoopOptions;
  #running: Promise<void> | null = null;
  #isClosed = false;
  #failures = 0;
  /** Work came while a step was being carried out, which may have missed it. */
  #isWoken = false;
  #sleeper: { readonly wake: () => void; readonly isLight: boolean } | null = null;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  /** There is work. A loop that waits after trouble goes on waiting. */
  wake(): void {
    if (this.#isClosed) return;
    this.#isWoken = true;
    this.#running ??= this.#run();
    if (this.#sleeper?.isLight === true) this.#sleeper.wake();
  }

  /** The same, and after trouble as well. */
  rouse(): void {
    this.wake();
    this.#sleeper?.wake();
  }

  /** Ends after the step that is being carried out. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sleeper?.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      this.#isWoken = false;
      try {
        const idleMs = await this.#options.step();
        this.#failures = 0;
        this.#options.onWell();
        if (idleMs !== 0 && !this.#isWoken) await this.#sleep(idleMs, true);
      } catch (error) {
        if (this.#isClosed) return;
        if (!(error instanceof HoldfastError)) throw error;
        this.#options.onTrouble(error);
        this.#failures += 1;
        const { retryMsMax = RETRY_MS_MAX } = this.#options;
        await this.#sleep(Math.min(retryMsMax, RETRY_MS_MIN * 2 ** (this.#failures - 1)), false);
      }
    }
  }

  async #sleep(ms: number | null, isLight: boolean): Promise<void> {
    if (this.#isClosed) return;
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#sleeper = { wake: resolve, isLight };
    });
    await Promise.race(ms === null ? [woken] : [woken, this.#options.clock.sleep(ms, timer.signal)]);
    this.#sleeper = null;
    timer.abort();
  }
}
