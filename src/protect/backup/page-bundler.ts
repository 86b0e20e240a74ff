import { assert } from '../../lib/index.ts';
import {
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
  type IngestPipeline,
  type IngestSlab,
  SLAB_BYTES,
} from '../../repository/index.ts';

/**
 * Raw bytes of a bundle of pages from here and there. A restore takes such a bundle apart for any page of it, so it is small; zstd has what it
 * needs to find alike pages in it, so it is not smaller.
 */
const SCATTERED_BUNDLE_BYTES = 128 << 10;

const SLAB_PAGES = SLAB_BYTES / FINGERPRINT_PAGE_BYTES;
const SCATTERED_PAGES = SCATTERED_BUNDLE_BYTES / FINGERPRINT_PAGE_BYTES;

/**
 * Told of each page once it is known where it lies: `offset` bytes behind the beginning of chunk `id`. `id` is shared by the pages of the bundle,
 * and `fingerprint` is a view into memory that the bundle shares; neither changes any more.
 */
export type PageAnswered = (id: Buffer, offset: number, fingerprint: Buffer) => void;

/**
 * Puts single changed pages, of one or of several files, together into chunks: *bundles* (rule C5).
 *
 * A bundle of scattered pages ends at 128 KiB. One that is a single run of neighbours may have 1 MiB, as any other chunk: they are read together.
 * Pages are copied into the pipeline's slabs when they are added. `flush` before the pipeline is sealed, and before waiting for an answer.
 */
export class PageBundler {
  readonly #pipeline: IngestPipeline;
  #slab: IngestSlab | null = null;
  /** One wait for a slab serves all who add meanwhile. */
  #waiting: Promise<void> | null = null;
  /** Pages in the slab at hand that belong to bundles already. */
  #cut = 0;
  /** Of the open bundle, in the order in which they lie. */
  #open: PageAnswered[] = [];
  #isOneRun = true;

  constructor(pipeline: IngestPipeline) {
    this.#pipeline = pipeline;
  }

  /**
   * Takes the next changed page, 8 KiB. `neighbours`: whether it stands directly behind the page that was added before it, in the same file. Gives a
   * promise only when it has to wait for a free slab; the view has to stay as it is until then.
   */
  add(page: Uint8Array, neighbours: boolean, answered: PageAnswered): void | Promise<void> {
    assert(page.length === FINGERPRINT_PAGE_BYTES, 'a page has 8 KiB');
    if (this.#slab === null) {
      this.#slab = this.#pipeline.tryAcquireSlab({ reserved: true });
      if (this.#slab === null) {
        this.#waiting ??= this.#waitForSlab();
        return this.#waiting.then(() => this.add(page, neighbours, answered));
      }
    }
    if (this.#endsBundle(neighbours)) this.#cutBundle();
    if (this.#open.length > 0 && !neighbours) this.#isOneRun = false;
    this.#slab.bytes.set(page, (this.#cut + this.#open.length) * FINGERPRINT_PAGE_BYTES);
    this.#open.push(answered);
    if (this.#cut + this.#open.length === SLAB_PAGES) this.flush();
  }

  /** Hands over all that was added; the answers come some time later. */
  flush(): void {
    if (this.#slab === null) return;
    this.#cutBundle();
    this.#pipeline.submit(this.#slab);
    this.#slab = null;
    this.#cut = 0;
  }

  #endsBundle(neighbours: boolean): boolean {
    if (this.#open.length < SCATTERED_PAGES) return false;
    return !(this.#isOneRun && neighbours);
  }

  #cutBundle(): void {
    const pages = this.#open;
    if (pages.length === 0) return;
    this.#open = [];
    this.#isOneRun = true;
    const offset = this.#cut * FINGERPRINT_PAGE_BYTES;
    this.#cut += pages.length;
    this.#slab!.addPiece(offset, pages.length * FINGERPRINT_PAGE_BYTES, true, (id, fingerprints) => {
      for (const [i, answered] of pages.entries()) {
        const at = i * FINGERPRINT_BYTES;
        answered(id, i * FINGERPRINT_PAGE_BYTES, fingerprints!.subarray(at, at + FINGERPRINT_BYTES));
      }
    });
  }

  async #waitForSlab(): Promise<void> {
    this.#slab = await this.#pipeline.acquireSlab({ reserved: true });
    this.#waiting = null;
  }
}
