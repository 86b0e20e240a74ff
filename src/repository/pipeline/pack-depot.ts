import type { ChunkIndex } from '../index/index.ts';
import { writeIndexObjects } from '../index/index.ts';
import { type FinishedPack, PACK_ENTRY_BYTES } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';

/** Packs that may be on their way to the store at once; more would only queue behind the same disk or line. */
const UPLOADS_MAX = 4;
/** Chunks after which an index object is written, so that a killed backup loses little of what it stored. */
const INDEX_CHUNKS = 65_536;

/**
 * Brings finished packs into the store and then names their chunks: packs first, index after (design 10).
 *
 * One depot serves the data packs of the workers and the tree packs of the main thread.
 */
export class PackDepot {
  readonly #repository: SealedObjects;
  readonly #index: ChunkIndex;
  readonly #uploads = new Set<Promise<void>>();
  #unindexed: FinishedPack[] = [];
  #unindexedChunks = 0;
  #indexing: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;

  constructor(repository: SealedObjects, index: ChunkIndex) {
    this.#repository = repository;
    this.#index = index;
  }

  /** False while as many packs are on their way as should be; producers then wait. */
  get hasRoom(): boolean {
    return this.#uploads.size < UPLOADS_MAX;
  }

  /** Stores the pack, tells the index, and calls `durable` with each identity in it. */
  keep(pack: FinishedPack, durable: (id: Buffer) => void = () => {}): Promise<void> {
    const upload = this.#upload(pack, durable);
    const settled = upload.then(
      () => {},
      // The caller of `keep` sees this error too, unless it has gone on meanwhile.
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    this.#uploads.add(settled);
    void settled.then(() => this.#uploads.delete(settled));
    return upload;
  }

  async #upload(pack: FinishedPack, durable: (id: Buffer) => void): Promise<void> {
    await this.#repository.store.putFileIfAbsent(pack.name, pack.spoolPath);
    this.#index.addPack(pack);
    this.#index.countOn(pack.packId);
    for (let at = 0; at < pack.entries.length; at += PACK_ENTRY_BYTES) durable(pack.entries.subarray(at, at + 32));
    this.#unindexed.push(pack);
    this.#unindexedChunks += pack.count;
    if (this.#unindexedChunks >= INDEX_CHUNKS) await this.#writeIndex();
  }

  /** Waits for all packs and writes the index of those that have none yet. Errors: of any pack that could not be stored. */
  async drain(): Promise<void> {
    while (this.#uploads.size > 0) await Promise.all(this.#uploads);
    if (this.#failure !== null) throw this.#failure.error;
    await this.#writeIndex();
  }

  async #writeIndex(): Promise<void> {
    const packs = this.#unindexed;
    this.#unindexed = [];
    this.#unindexedChunks = 0;
    const previous = this.#indexing;
    this.#indexing = (async () => {
      await previous;
      if (packs.length > 0) await writeIndexObjects(this.#repository, packs);
    })();
    await this.#indexing;
  }
}
