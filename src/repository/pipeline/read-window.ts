import type { Clock } from '../../lib/index.ts';

/** No line needs more: 16 MiB in 50 ms are 320 MB/s, more than workers take. */
const WINDOW_BYTES_MAX = 16 << 20;
/** Twice what comes during one answer, so that the workers have something while the next is on its way, and so that a window that is too small shows. */
const WINDOW_ANSWERS = 2;
/** So long it is measured before the window changes: several answers, and soon enough for a restore of a second. */
const MEASURE_MS = 50;
/** The share of the newest answer in the average. */
const NEWEST_PART = 0.2;
/** Where the quickest answer takes longer, it does not come from a disk. */
const FAR_MS = 10;
/** The least from there, and with what it begins when the first answer says so: a restore of a second is half over before it is measured. */
const FAR_BYTES_MIN = 4 << 20;

/** What was seen since the window changed last: bytes that workers were done with, and the quickest answer, null while there was none. */
interface Measurement {
  readonly since: number;
  bytes: number;
  quickestMs: number | null;
}

/**
 * How many stored bytes may be on their way to the workers, or with them. From a disk: a few runs for each worker, always. From far away: what the
 * workers take during the time of an answer, twice over, as measured all the while, within a bound.
 *
 * The quickest answer lately tells which it is: on a busy machine most answers of a disk are late as well, and a larger window only takes memory.
 */
export class ReadWindow {
  readonly #clock: Clock;
  readonly #bytesMin: number;
  #bytes: number;
  #taken = 0;
  /** The average; 0 before the first answer. */
  #answerMs = 0;
  #isFar = false;
  #measured: Measurement;

  constructor(options: { clock: Clock; bytesMin: number }) {
    this.#clock = options.clock;
    this.#bytesMin = options.bytesMin;
    this.#bytes = options.bytesMin;
    this.#measured = this.#measureAnew();
  }

  /** The window as it is now, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether answers come from far away, where a request costs more than its bytes. */
  get isFar(): boolean {
    return this.#isFar;
  }

  /** True for anything while nothing is taken: a run that is larger than the window goes alone. */
  hasRoom(bytes: number): boolean {
    return this.#taken === 0 || this.#taken + bytes <= this.#bytes;
  }

  /** Gives the moment, for `noteAnswer`. */
  take(bytes: number): number {
    this.#taken += bytes;
    return this.#clock.monotonic();
  }

  noteAnswer(begunAt: number): void {
    const took = this.#clock.monotonic() - begunAt;
    if (this.#answerMs === 0) {
      this.#isFar = took > FAR_MS;
      if (this.#isFar) this.#bytes = Math.max(this.#bytes, FAR_BYTES_MIN);
      this.#answerMs = took;
    }
    this.#answerMs = this.#answerMs * (1 - NEWEST_PART) + took * NEWEST_PART;
    this.#measured.quickestMs = Math.min(took, this.#measured.quickestMs ?? took);
  }

  /** Of bytes that a worker is done with. */
  give(bytes: number): void {
    this.#taken -= bytes;
    this.#measured.bytes += bytes;
    const elapsed = this.#clock.monotonic() - this.#measured.since;
    if (elapsed < Math.max(MEASURE_MS, this.#answerMs)) return;
    const { quickestMs, bytes: given } = this.#measured;
    if (quickestMs !== null) this.#isFar = quickestMs > FAR_MS;
    // While the window holds the workers back, they take all of it in the time of an answer: then it doubles.
    const wanted = this.#isFar ? Math.max((given / elapsed) * this.#answerMs * WINDOW_ANSWERS, FAR_BYTES_MIN) : 0;
    this.#bytes = Math.min(Math.max(wanted, this.#bytesMin), WINDOW_BYTES_MAX);
    this.#measured = this.#measureAnew();
  }

  #measureAnew(): Measurement {
    return { since: this.#clock.monotonic(), bytes: 0, quickestMs: null };
  }
}
