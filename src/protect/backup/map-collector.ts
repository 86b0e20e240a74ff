import {
  type ChangedPiece,
  type ChunkIndex,
  encodeFileMap,
  FINGERPRINT_PAGE_BYTES,
  type IngestPipeline,
  type IngestResult,
  type PatchedPage,
} from '../../repository/index.ts';
import { CollectedFile } from './collected-file.ts';
import type { EntryTable } from './entry-table.ts';
import type { LeafCollector } from './leaf-collector.ts';
import { LeafWork } from './leaf-work.ts';
import { PageBundler } from './page-bundler.ts';
import type { PreviousFile } from './previous/index.ts';

/** Through what a collector stores. */
export interface CollectorStores {
  pipeline: IngestPipeline;
  index: ChunkIndex;
  storeLeaf: (raw: Uint8Array) => Promise<Buffer>;
}

/**
 * Gives the pieces of files to the pipeline and makes the map of each file from the answers, which come in any order.
 *
 * Who reads the bytes puts them into slabs; that may be another thread. A file of which an older backup has a map is written over that map: what did
 * not change keeps its place in the repository, and of a slot that changed little only the changed pages are stored (rule C4).
 */
export class MapCollector {
  /** Where contents are kept, by the rows of the files. */
  readonly entries: EntryTable;
  readonly bundler: PageBundler;
  readonly #stores: CollectorStores;
  readonly #leaves = new LeafWork();
  #bundling: Promise<void> = Promise.resolve();
  /** Bytes that were read, and found to be as an older backup has them. */
  unchangedBytes = 0;

  constructor(entries: EntryTable, stores: CollectorStores) {
    this.entries = entries;
    this.bundler = new PageBundler(stores.pipeline);
    this.#stores = stores;
  }

  get index(): ChunkIndex {
    return this.#stores.index;
  }

  /** A file whose row was added. `paged`: whether its bytes are pages of PostgreSQL. */
  beginFile(row: number, options: { paged: boolean; previous: PreviousFile | null }): CollectedFile {
    return new CollectedFile(this, { row, ...options });
  }

  /** Waits until every file's map is known, and all that is new lies in packs. The last slab was submitted, the last file ended. */
  async finish(): Promise<IngestResult> {
    await this.settle();
    return this.#stores.pipeline.seal();
  }

  /** Waits until all that was submitted is answered and the map leaves of it are stored. */
  async settle(): Promise<void> {
    const { pipeline } = this.#stores;
    await pipeline.settle();
    this.bundler.flush();
    await pipeline.settle();
    await this.#leaves.settle();
  }

  /** Stores the changed pages of a slot, one slot after the other, as the bundler takes one page at a time. */
  bundle(piece: ChangedPiece, done: (pages: readonly PatchedPage[]) => void): Promise<void> {
    this.#bundling = this.#bundling.then(() => this.#addPages(piece, done));
    return this.#bundling;
  }

  /** Stores a map leaf, or keeps the one that says the same already. */
  async keepLeaf(leaf: LeafCollector, known: Buffer | null): Promise<Buffer> {
    const map = leaf.toMap(this.index);
    return leaf.isUnchanged && known !== null ? known : await this.#stores.storeLeaf(encodeFileMap(map));
  }

  /** Has `finish` wait for work, and fail when it fails. */
  track(work: Promise<void>): void {
    this.#leaves.add(work);
  }

  async #addPages(piece: ChangedPiece, done: (pages: readonly PatchedPage[]) => void): Promise<void> {
    const pages: PatchedPage[] = [];
    const changed = piece.changes.reduce((count, isChanged) => count + isChanged, 0);
    for (let page = 0; page < piece.changes.length; page++) {
      if (piece.changes[page] === 0) continue;
      const at = page * FINGERPRINT_PAGE_BYTES;
      const isNeighbour = page > 0 && piece.changes[page - 1] === 1;
      const waiting = this.bundler.add(
        piece.bytes.subarray(at, at + FINGERPRINT_PAGE_BYTES),
        isNeighbour,
        (id, offset, fingerprint) => {
          pages.push({ page, id, offset, fingerprint });
          if (pages.length === changed) done(pages.sort((a, b) => a.page - b.page));
        },
      );
      if (waiting !== undefined) await waiting;
    }
    this.unchangedBytes += piece.bytes.length - changed * FINGERPRINT_PAGE_BYTES;
  }
}
