import type { Clock } from '../lib/index.ts';
import type { Format } from './format/index.ts';
import { type ChunkIndex, ChunkReader, loadIndex, type RebuiltIndex, rebuildIndex } from './index/index.ts';
import { KeyRing, type KeySecret, type OpenedKeys, openKeys, parseKeyName } from './key/index.ts';
import type { Lease } from './lease/index.ts';
import type { ObjectStore } from './object-store/index.ts';
import { type Access, SealedObjects } from './sealed/index.ts';
import {
  findSnapshot,
  type KnownSnapshots,
  listSnapshots,
  type SnapshotList,
  type SnapshotRecord,
} from './snapshot/index.ts';

/** Where the marks lie of epochs that have begun. */
const EPOCH_PREFIX = 'keys/epoch.';

/** An opened repository. Made by `initRepository` and `openRepository`; whoever has it closes it. */
export class Repository extends SealedObjects {
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly format: Format;
  /** SHA-256 of the bytes of `format`, which every key bundle repeats. */
  readonly formatSha256: string;
  readonly #scratchDirectory: string | undefined;
  readonly #indexes = new Set<ChunkIndex>();
  readonly #known: KnownSnapshots = new Map();
  #slot: string;
  #secret: KeySecret;

  constructor(options: {
    store: ObjectStore;
    format: Format;
    opened: Pick<OpenedKeys, 'slot' | 'bundle' | 'secret'>;
    access: Access;
    clock: Clock;
    scratchDirectory?: string;
  }) {
    const { store, format, opened, clock, access } = options;
    super({ store, keys: KeyRing.fromMaterial(opened.bundle.material), clock, access });
    this.id = format.id;
    this.format = format;
    this.#slot = opened.slot;
    this.#secret = opened.secret;
    this.formatSha256 = opened.bundle.formatSha256;
    this.#scratchDirectory = options.scratchDirectory;
  }

  /** The slot whose key opened it. */
  get slot(): string {
    return this.#slot;
  }

  /** What opened that slot, kept to read newer keys with it. */
  get secret(): KeySecret {
    return this.#secret;
  }

  /** Goes on with another slot, which has been opened with this secret and has the same keys. */
  goOnWith(slot: string, secret: KeySecret): void {
    this.#slot = slot;
    this.#secret = secret;
  }

  /**
   * Looks whether a new epoch has begun, and takes it in. For what runs long: one request while there is none.
   *
   * `left-behind`: one has begun that this key was not given; all goes on with the old one, which protects nothing any more from whoever has that.
   * Errors: as `openKeys`.
   */
  async refreshKeys(): Promise<'same' | 'renewed' | 'left-behind'> {
    let isNewer = false;
    for await (const { name } of this.store.list(EPOCH_PREFIX)) {
      const parsed = parseKeyName(name);
      if (parsed?.kind === 'epoch' && parsed.epoch > this.keys.currentEpoch) isNewer = true;
    }
    if (!isNewer) return 'same';
    const before = this.keys.currentEpoch;
    const opened = await openKeys(this.store, this.keys.repositoryId, this.#secret);
    if (opened.leftBehind !== null) return 'left-behind';
    this.goOnWith(opened.slot, opened.secret);
    this.keys.adopt(opened.bundle.material);
    return this.keys.currentEpoch === before ? 'same' : 'renewed';
  }

  /** Settled when every copy that is required has these objects, too; at once where there are no copies. Errors: those of the copies. */
  async settle(names: readonly string[]): Promise<void> {
    await this.store.untilCopied?.(names);
  }

  /**
   * The same repository as it lies in one place: what is damaged or missing there is not made up for by others, and what is put there is brought to
   * others by the next comparison. It shares the keys and need not be closed.
   */
  inPlace(store: ObjectStore): Repository {
    const bundle = { material: this.keys.material(), formatSha256: this.formatSha256 };
    const opened = { slot: this.#slot, secret: this.#secret, bundle };
    return new Repository({
      store,
      format: this.format,
      opened,
      access: this.access,
      clock: this.clock,
      ...this.#scratch(),
    });
  }

  /** Reads the index as it is now. It may be closed before the repository is, which closes those that are left. Errors: as `loadIndex`. */
  async loadIndex(options: Pick<Parameters<typeof loadIndex>[1] & object, 'onObject'> = {}): Promise<ChunkIndex> {
    const index = await loadIndex(this, { ...options, ...this.#scratch() });
    this.#indexes.add(index);
    return index;
  }

  /** Names packs that no readable index object names. Errors: as `rebuildIndex`. */
  rebuildIndex(options: { lease?: Lease; onPack?: () => void; signal?: AbortSignal } = {}): Promise<RebuiltIndex> {
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

  /**
   * The same, but each record is read only once as long as the repository is open: for whoever needs what it says, not whether it can be read still.
   * The records are shared and not to be changed.
   */
  recallSnapshots(): Promise<SnapshotList> {
    return listSnapshots(this, this.#known);
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
