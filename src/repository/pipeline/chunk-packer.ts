import { assert, GarbageGauge, giveBack } from '../../lib/index.ts';
import { compressForNow } from '../codec/index.ts';
import type { ChunkIndex } from '../index/index.ts';
import { newSpoolPath } from '../object-store/index.ts';
import { type PackContent, PackWriter } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import { PACKER_GARBAGE } from './garbage.ts';
import type { PackDepot } from './pack-depot.ts';

/**
 * Stores chunks one by one from the main thread: tree nodes and map leaves, which go into tree packs of their own so that a tree is read
 * without touching data, and the few data chunks that have to be stored again.
 */
export class ChunkPacker {
  readonly #repository: SealedObjects;
  readonly #index: ChunkIndex;
  readonly #depot: PackDepot;
  readonly #inFlight = new Set<string>();
  readonly #content: PackContent;
  readonly #garbage = new GarbageGauge(PACKER_GARBAGE);
  #spoolDirectory: Promise<string> | null = null;
  #pack: PackWriter | null = null;
  newChunks = 0;
  newBytes = 0;
  storedBytes = 0;

  constructor(options: { repository: SealedObjects; index: ChunkIndex; depot: PackDepot; content: PackContent }) {
    this.#content = options.content;
    this.#repository = options.repository;
    this.#index = options.index;
    this.#depot = options.depot;
  }

  /** Stores one chunk unless it is known, and gives its identity (32 bytes). Durable only after `finish`. */
  async store(raw: Uint8Array): Promise<Buffer> {
    const id = this.#repository.keys.identifyChunk(raw);
    const key = id.toString('latin1');
    if (this.#index.has(id) || this.#inFlight.has(key)) return id;
    this.#inFlight.add(key);
    this.#spoolDirectory ??= this.#repository.store.spoolDirectory();
    const spoolDirectory = await this.#spoolDirectory;
    // Nothing is awaited from here to the append: two callers that both found no pack would each begin one, and one would be lost.
    this.#pack ??= this.#beginPack(spoolDirectory);
    const compressed = compressForNow(raw);
    this.#pack.append(id, raw, compressed);
    if (compressed !== null) giveBack(compressed);
    this.newChunks += 1;
    this.newBytes += raw.length;
    this.#garbage.add(4 * raw.length);
    if (this.#pack.isFull) await this.#finishPack();
    return id;
  }

  /** Closes the open pack and waits until all is durable and indexed. */
  async finish(): Promise<void> {
    await this.#finishPack();
    await this.#depot.drain();
    assert(this.#inFlight.size === 0, 'every chunk that was taken in reached a durable pack');
  }

  /** Throws away the unfinished pack. Safe to repeat. */
  abandon(): void {
    this.#pack?.abandon();
    this.#pack = null;
  }

  #beginPack(spoolDirectory: string): PackWriter {
    const spoolPath = newSpoolPath(spoolDirectory);
    return new PackWriter({ keys: this.#repository.keys, content: this.#content, spoolPath });
  }

  async #finishPack(): Promise<void> {
    if (this.#pack === null) return;
    const finished = this.#pack.finish();
    this.#pack = null;
    this.storedBytes += finished.size;
    await this.#depot.keep(finished, (id) => this.#inFlight.delete(id.toString('latin1')));
  }
}
