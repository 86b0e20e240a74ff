import { type Clock, HoldfastError } from '../../lib/index.ts';
import type { StorePlace } from '../object-store/index.ts';
import type { CopyEventSink } from './events.ts';

/** A place that failed is not asked first for so long, doubled with each failure up to the second. */
const AVOID_MS_MIN = 5_000;
const AVOID_MS_MAX = 5 * 60_000;
/** Weight of the newest measurement: quick to see a change, slow to follow one odd answer. */
const NEWEST_WEIGHT = 0.2;
/** Until it is measured a copy counts as farther than the primary, which is nearest for most. */
const UNMEASURED_MS = 1_000;
/** A copy is asked before the primary, which has everything first, only where that gains something. */
const NEARER_MS = 10;

/** How near one place is, and whether it answers. */
export class PlaceWatch {
  readonly place: StorePlace;
  readonly isPrimary: boolean;
  readonly #clock: Clock;
  readonly #tell: CopyEventSink;
  /** Milliseconds to a small answer, as measured lately; `null` before the first. */
  #latencyMs: number | null = null;
  #failures = 0;
  #avoidedUntil = 0;
  #foreign: HoldfastError | null = null;

  constructor(options: { place: StorePlace; isPrimary: boolean; clock: Clock; tell: CopyEventSink }) {
    this.place = options.place;
    this.isPrimary = options.isPrimary;
    this.#clock = options.clock;
    this.#tell = options.tell;
  }

  get foreign(): HoldfastError | null {
    return this.#foreign;
  }

  get isAway(): boolean {
    return this.#failures > 0;
  }

  /** Failed a short while ago: others are asked first. */
  get isAvoided(): boolean {
    return this.isAway && this.#clock.monotonic() < this.#avoidedUntil;
  }

  /** The less, the sooner it is asked. */
  get rank(): number {
    if (this.isAvoided) return Number.POSITIVE_INFINITY;
    if (this.isPrimary) return this.#latencyMs ?? 0;
    return this.#latencyMs === null ? UNMEASURED_MS : this.#latencyMs + NEARER_MS;
  }

  /** Carries a call out and learns from how it went. `isSmall`: its time says how far the place is. */
  async use<T>(call: () => Promise<T>, options: { isSmall?: boolean } = {}): Promise<T> {
    const begun = this.#clock.monotonic();
    try {
      const answer = await call();
      this.answered(options.isSmall === true ? this.#clock.monotonic() - begun : null);
      return answer;
    } catch (error) {
      // An object that is not there or not whole is an answer, too.
      if (isPlaceTrouble(error)) this.failed(error);
      else this.answered(null);
      throw error;
    }
  }

  answered(latencyMs: number | null): void {
    if (latencyMs !== null) {
      this.#latencyMs =
        this.#latencyMs === null ? latencyMs : this.#latencyMs * (1 - NEWEST_WEIGHT) + latencyMs * NEWEST_WEIGHT;
    }
    if (this.#failures > 0) this.#tell({ kind: 'place-back', place: this.place.name });
    this.#failures = 0;
  }

  failed(error: HoldfastError): void {
    const avoidMs = Math.min(AVOID_MS_MAX, AVOID_MS_MIN * 2 ** this.#failures);
    this.#avoidedUntil = this.#clock.monotonic() + avoidMs;
    this.#failures += 1;
    if (this.#failures === 1) this.#tell({ kind: 'place-away', place: this.place.name, error });
  }

  markForeign(error: HoldfastError): void {
    if (this.#foreign === null) this.#tell({ kind: 'foreign', place: this.place.name, error });
    this.#foreign = error;
  }
}

/** True for what says something about the place, not about one object: no answer, no right, no space. All else is for whoever called. */
export function isPlaceTrouble(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && error.code.startsWith('STORE_');
}
