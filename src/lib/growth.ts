/** A rate over less than this says nothing: what comes in one burst would be taken for what comes all the time. */
const SPAN_MS_MIN = 5_000;

/** How fast an amount grows, taken over the last while. */
export class GrowthMeter {
  readonly #spanMs: number;
  #samples: { readonly at: number; readonly amount: bigint }[] = [];

  /** `spanMs`: over how long the rate is taken. */
  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  /** `atMs` is of a monotonic clock. To be told also while nothing grows, as only then the rate falls. */
  add(atMs: number, amount: bigint | number): void {
    this.#samples = this.#samples.filter(({ at }) => atMs - at <= this.#spanMs);
    this.#samples.push({ at: atMs, amount: BigInt(amount) });
  }

  /** 0 when it does not grow; `null` while too little was seen. */
  get perSecond(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.at - first.at < SPAN_MS_MIN) return null;
    return Math.max(0, Number(last.amount - first.amount) / ((last.at - first.at) / 1000));
  }
}
