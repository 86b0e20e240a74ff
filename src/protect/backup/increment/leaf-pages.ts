import type { PatchedPage } from '../../../repository/index.ts';

/** The changed pages of one map leaf, some of which are on their way. */
export class LeafPages {
  readonly #pages: PatchedPage[] = [];
  readonly #whole: Promise<void>;
  #settle!: () => void;
  #expected = 0;
  #isClosed = false;

  constructor() {
    this.#whole = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** One more page is on its way. */
  expect(): void {
    this.#expected += 1;
  }

  add(page: PatchedPage): void {
    this.#pages.push(page);
    this.#settleIfWhole();
  }

  /** No more pages are expected. */
  close(): void {
    this.#isClosed = true;
    this.#settleIfWhole();
  }

  /** All of them in order, once the last has arrived. */
  async inOrder(): Promise<readonly PatchedPage[]> {
    await this.#whole;
    return this.#pages.sort((a, b) => a.page - b.page);
  }

  #settleIfWhole(): void {
    if (this.#isClosed && this.#pages.length === this.#expected) this.#settle();
  }
}
