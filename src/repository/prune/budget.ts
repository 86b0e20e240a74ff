import type { Clock } from '../../lib/index.ts';
import { RateLimit } from '../object-store/index.ts';

/** How much one run may do; what is missing is not limited. */
export interface DeletionBudget {
  readonly durationMs?: number;
  /** Bytes of live chunks that are stored again. */
  readonly repackBytes?: number;
  readonly deletionsPerSecond?: number;
}

/** What is left of a budget. What is over it is left to the next run. */
export class PruneBudget {
  readonly #clock: Clock;
  readonly #end: number;
  readonly #rate: RateLimit | null;
  #repackBytes: number;

  constructor(clock: Clock, budget: DeletionBudget = {}) {
    this.#clock = clock;
    this.#end = clock.monotonic() + (budget.durationMs ?? Number.POSITIVE_INFINITY);
    this.#repackBytes = budget.repackBytes ?? Number.POSITIVE_INFINITY;
    this.#rate = budget.deletionsPerSecond === undefined ? null : new RateLimit(budget.deletionsPerSecond, clock);
  }

  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#end;
  }

  /** Whether so many bytes may be stored again; then they are taken. */
  takeRepack(bytes: number): boolean {
    if (this.isOver || bytes > this.#repackBytes) return false;
    this.#repackBytes -= bytes;
    return true;
  }

  /** Waits until one more object may be deleted. */
  async paceDeletion(signal?: AbortSignal): Promise<void> {
    await this.#rate?.take(1, signal);
  }
}
