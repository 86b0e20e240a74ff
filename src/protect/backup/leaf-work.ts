/** Work on map leaves that goes on beside the reading of files. Whoever waits for all of it hears of the first failure. */
export class LeafWork {
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | null = null;

  /** How much of it is under way. */
  get count(): number {
    return this.#underWay.size;
  }

  add(work: Promise<void>): void {
    const settled = work.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
  }

  /** Settled when one piece of it is done, whatever came of it; never when there is none. */
  next(): Promise<void> {
    return Promise.race(this.#underWay);
  }

  /** Waits until nothing is under way any more. */
  async settle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    if (this.#failure !== null) throw this.#failure.error;
  }
}
