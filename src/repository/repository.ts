import type { Clock } from '../lib/index.ts';
import type { Format } from './format/index.ts';
import { type ChunkIndex, ChunkReader, loadIndex, type RebuiltIndex, rebuildIndex } from './index/index.ts';
import { type KeyBundle, KeyRing } from './key/index.ts';
import type { ObjectStore } from './object-store/index.ts';
import { type Access, SealedObjects } from './sealed/index.ts';
import { findSnapshot, listSnapshots, type SnapshotList, type SnapshotRecord } from './snapshot/index.ts';

/** An opened repository. Made by `initRepository` and `openRepository`; whoever has it closes it. */
export class Repository extends SealedObjects {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly format: Format;
  /** The slot whose key opened it. */
  readonly slot: string;
  /** SHA-256 of the bytes of `format`, which every key bundle repeats. */
  readonly formatSha256: string;
  readonly #scratchDirectory: string | undefined;
  readonly #indexes = new Set<ChunkIndex>();

  constructor(options: {
    store: ObjectStore;
    format: Format;
    bundle: KeyBundle;
    slot: string;
    access: Access;
    clock: Clock;
    scratchDirectory?: string;
  }) {
    const { store, format, bundle, clock, access } = options;
    super({ store, keys: KeyRing.fromMaterial(bundle.material), clock, access });
    this.id = format.id;
    this.format = format;
    this.slot = options.slot;
    this.formatSha256 = bundle.formatSha256;
    this.#scratchDirectory = options.scratchDirectory;
  }

  /** Reads the index as it is now. It may be closed before the repository is, which closes those that are left. Errors: as `loadIndex`. */
  async loadIndex(): Promise<ChunkIndex> {
    const index = await loadIndex(this, this.#scratch());
    this.#indexes.add(index);
    return index;
  }

  /** Names packs that no readable index object names. Errors: as `rebuildIndex`. */
  rebuildIndex(options: { onPack?: () => void; signal?: AbortSignal } = {}): Promise<RebuiltIndex> {
    return rebuildIndex(this, { ...options, ...this.#scratch() });
  }

  /** Reads single chunks, such as those of a tree. */
  openChunkReader(index: ChunkIndex): ChunkReader {
    return new ChunkReader({ store: this.store, keys: this.keys, index });
  }

  /** Every committed snapshot, oldest first, and what cannot be read. */
  listSnapshots(): Promise<SnapshotList> {
    return listSnapshots(this);
  }

  /** The one committed snapshot whose id begins with these digits. Errors: `SNAPSHOT_ABSENT`, `SNAPSHOT_AMBIGUOUS`. */
  findSnapshot(idPrefix: string): Promise<SnapshotRecord> {
    return findSnapshot(this, idPrefix);
  }

  #scratch(): { scratchDirectory?: string } {
    return this.#scratchDirectory === undefined ? {} : { scratchDirectory: this.#scratchDirectory };
  }

  /** Gives back what it holds of this machine. Safe to repeat. */
  async close(): Promise<void> {
    for (const index of this.#indexes) index.close();
    this.#indexes.clear();
  }
}
