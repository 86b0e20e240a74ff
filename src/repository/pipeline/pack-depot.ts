import type { ChunkIndex } from '../index/index.ts';
import { writeIndexObjects } from '../index/index.ts';
import type { Lease } from '../lease/index.ts';
import { type FinishedPack, PACK_ENTRY_BYTES } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';

/** Packs that may be on their way to the store at once; more would only queue behind the same disk or line. */
const UPLOADS_MAX = 4;
/**
 * An index object is written after so many chunks, bytes or seconds, whichever is first: of what a killed backup stored, only what no index names yet
 * is stored again. At first after about one pack, then after twice as much, and so on: a short run loses about half at most, and a long one does not
 * leave an index object for each pack.
 */
const INDEX_CHUNKS_MAX = 65_536;
const INDEX_BYTES_FIRST = 48 << 20;
const INDEX_BYTES_MAX = 1 << 30;
const INDEX_SECONDS_MAX = 30;

/**
 * Brings finished packs into the store and then names their chunks: packs first, index after (design 10).
 *
 * One depot serves the data packs of the workers and the tree packs of the main thread.
 */
export class PackDepot {
  readonly #repository: SealedObjects;
  readonly #index: ChunkIndex;
  readonly #lease: Lease | undefined;
  readonly #uploads = new Set<Promise<void>>();
  #unindexed: FinishedPack[] = [];
  #unindexedChunks = 0;
  #unindexedBytes = 0;
  /** Bytes of packs after which the next index object is written. */
  #bytesPerIndex = INDEX_BYTES_FIRST;
  #indexedAtMs: number;
  #indexing: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;

  /** `lease`: of the run that stores the packs (`writeIndexObjects`). */
  constructor(repository: SealedObjects, index: ChunkIndex, lease?: Lease) {
    this.#repository = repository;
    this.#index = index;
    this.#lease = lease;
    this.#indexedAtMs = repository.clock.monotonic();
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
    this.#unindexedBytes += pack.size;
    if (this.#isIndexDue()) await this.#writeIndex();
  }

  /** Waits for all packs and writes the index of those that have none yet. Errors: of any pack that could not be stored. */
  async drain(): Promise<void> {
    while (this.#uploads.size > 0) await Promise.all(this.#uploads);
    if (this.#failure !== null) throw this.#failure.error;
    await this.#writeIndex();
  }

  #isIndexDue(): boolean {
    const waitedMs = this.#repository.clock.monotonic() - this.#indexedAtMs;
    return (
      this.#unindexedBytes >= this.#bytesPerIndex ||
      this.#unindexedChunks >= INDEX_CHUNKS_MAX ||
      waitedMs >= INDEX_SECONDS_MAX * 1000
    );
  }

  async #writeIndex(): Promise<void> {
    const packs = this.#unindexed;
    this.#bytesPerIndex = Math.min(2 * this.#bytesPerIndex, INDEX_BYTES_MAX);
    this.#indexedAtMs = this.#repository.clock.monotonic();
    this.#unindexed = [];
    this.#unindexedChunks = 0;
    this.#unindexedBytes = 0;
    const previous = this.#indexing;
    this.#indexing = (async () => {
      await previous;
      if (packs.length > 0) await writeIndexObjects(this.#repository, packs, this.#lease);
    })();
    await this.#indexing;
  }
}
