import type { Clock } from '../../../lib/index.ts';

/** Fragments on their way at the same time, and the least time between two: far from the store a commit waits for little more than one answer. */
const FRAGMENTS_UNDER_WAY_MAX = 4;
const FRAGMENT_STEP_MS_MIN = 10;

/** The store's own time is taken off the flush interval, but never more than this part of it. */
const LEAD_PART_MAX = 0.5;

/** When the next fragment is due, and when another one may be on its way. All times are of the clock's monotonic scale. */
export class FragmentPace {
  readonly #clock: Clock;
  readonly #flushIntervalMs: number;
  /** When the first byte came that no fragment has taken; `null` when none waits. */
  #waitingSince: number | null = null;
  #lastBegunAt = 0;
  #lastStoreMs = 0;

  constructor({ clock, flushIntervalMs }: { clock: Clock; flushIntervalMs: number }) {
    this.#clock = clock;
    this.#flushIntervalMs = flushIntervalMs;
  }

  /** WAL came. */
  arrived(): void {
    this.#waitingSince ??= this.#clock.monotonic();
  }

  /** Of what has come nothing waits for a fragment any more. */
  tookAll(): void {
    this.#waitingSince = null;
  }

  /** A fragment is sent to the store now; gives the time for `stored`. */
  begun(): number {
    this.#lastBegunAt = this.#clock.monotonic();
    return this.#lastBegunAt;
  }

  /** The fragment that was begun then is durable. */
  stored(begunAt: number): void {
    this.#lastStoreMs = this.#clock.monotonic() - begunAt;
  }

  /** Until what waits has to be sent, so that it is durable within the flush interval; the whole interval while nothing waits. */
  msUntilDue(): number {
    const now = this.#clock.monotonic();
    const lead = Math.min(this.#lastStoreMs, this.#flushIntervalMs * LEAD_PART_MAX);
    return (this.#waitingSince ?? now) + this.#flushIntervalMs - lead - now;
  }

  /**
   * How long the next fragment has to wait for those on their way. They follow each other in even steps: whatever the store's time, no more than a
   * few are on their way, and from a disk, which answers within one step, one after the other.
   */
  msUntilRoom(underWay: number): number {
    if (underWay === 0) return 0;
    if (underWay >= FRAGMENTS_UNDER_WAY_MAX) return Number.POSITIVE_INFINITY;
    const step = Math.max(FRAGMENT_STEP_MS_MIN, this.#lastStoreMs / FRAGMENTS_UNDER_WAY_MAX);
    return this.#lastBegunAt + step - this.#clock.monotonic();
  }
}
