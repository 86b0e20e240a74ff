import type { Clock } from '../../lib/index.ts';

/** No line needs more: 16 MiB in 50 ms are 320 MB/s, more than workers take. */
const WINDOW_BYTES_MAX = 16 << 20;
/** Twice what comes during one answer, so that the workers have something while the next is on its way, and so that a window that is too small shows. */
const WINDOW_ANSWERS = 2;
/** So long it is measured before the window changes: several answers, and soon enough for a restore of a second. */
const MEASURE_MS = 50;
/** Where the quickest answer takes longer, it does not come from a disk. */
const FAR_MS = 10;
/** With what it begins where the first answer says so, as a restore of a second is half over before it is measured. */
const FAR_BYTES_FIRST = 4 << 20;

/**
 * How many stored bytes may be on their way to the workers, or with them: what they take during the time of an answer, twice over, as measured all the
 * while; never less than a few runs for each worker, and never more than a bound.
 *
 * The time of an answer is that of the quickest one lately: the others waited for a busy machine or for each other, which no larger window helps.
 */
export class ReadWindow {
  readonly #clock: Clock;
  readonly #bytesMin: number;
  #bytes: number;
  #taken = 0;
  #answerMs = 0;
  /** Since when is measured, what workers were done with since, and the quickest answer; null while there was none. */
  #since: { at: number; bytes: number; answerMs: number | null };

  constructor(options: { clock: Clock; bytesMin: number }) {
    this.#clock = options.clock;
    this.#bytesMin = options.bytesMin;
    this.#bytes = options.bytesMin;
    this.#since = { at: options.clock.monotonic(), bytes: 0, answerMs: null };
  }

  /** The window as it is now, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether answers come from far away, where a request costs more than its bytes. */
  get isFar(): boolean {
    return this.#answerMs > FAR_MS;
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
    if (this.#answerMs === 0 && took > FAR_MS) this.#bytes = Math.max(this.#bytes, FAR_BYTES_FIRST);
    this.#since.answerMs = Math.min(took, this.#since.answerMs ?? took);
    this.#answerMs = this.#answerMs === 0 ? took : Math.min(this.#answerMs, took);
  }

  /** Of bytes that a worker is done with. */
  give(bytes: number): void {
    this.#taken -= bytes;
    this.#since.bytes += bytes;
    const now = this.#clock.monotonic();
    const elapsed = now - this.#since.at;
    if (elapsed < Math.max(MEASURE_MS, this.#answerMs)) return;
    this.#answerMs = this.#since.answerMs ?? this.#answerMs;
    const wanted = (this.#since.bytes / elapsed) * this.#answerMs * WINDOW_ANSWERS;
    this.#bytes = Math.min(Math.max(wanted, this.#bytesMin), WINDOW_BYTES_MAX);
    this.#since = { at: now, bytes: 0, answerMs: null };
  }
}
