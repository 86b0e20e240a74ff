import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import type { KeyRing } from '../key/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import { PackOpener, packName } from '../pack/index.ts';
import type { ChunkIndex, ChunkLocation } from './chunk-index.ts';

/** Openers kept with their derived keys: neighbours in a tree lie in few packs. */
const OPENERS_MAX = 64;

/** Errors of one copy after which the next one is tried; anything else is the store's own trouble. */
const COPY_LOST_CODES = new Set(['OBJECT_ABSENT', 'OBJECT_TRUNCATED', 'CHUNK_DAMAGED', 'KEY_EPOCH_ABSENT']);

/** Reads single chunks, one request each: for trees and maps. Bulk data goes through the extract pipeline. */
export class ChunkReader {
  readonly #store: ObjectStore;
  readonly #keys: KeyRing;
  readonly #index: ChunkIndex;
  readonly #openers = new Map<number, PackOpener>();

  constructor(options: { store: ObjectStore; keys: KeyRing; index: ChunkIndex }) {
    this.#store = options.store;
    this.#keys = options.keys;
    this.#index = options.index;
  }

  /**
   * The raw bytes of a chunk, from whichever copy is sound.
   *
   * Errors: `CHUNK_ABSENT` when no pack that is there holds it, `CHUNK_DAMAGED` when those that do are damaged, both naming the packs; those of
   * the store, when a copy could not be reached and no other was sound: that says nothing about the chunk.
   */
  readonly readChunk = async (id: Uint8Array): Promise<Buffer> => {
    const failures: { location: ChunkLocation; error: HoldfastError }[] = [];
    let unreachable: unknown = null;
    for (const location of this.#index.lookup(id)) {
      try {
        return await this.#readCopy(id, location);
      } catch (error) {
        if (error instanceof HoldfastError && COPY_LOST_CODES.has(error.code)) failures.push({ location, error });
        else unreachable ??= error;
      }
    }
    if (unreachable !== null) throw unreachable;
    const found = failures.map(
      ({ location, error }) => `"${packName(location.packId)}": ${error.detail ?? messageOf(error)}`,
    );
    const damaged = failures.some(({ error }) => codeOf(error) !== 'OBJECT_ABSENT');
    throw damaged ? chunkDamaged(id, found) : chunkAbsent(id, found, this.#index);
  };

  async #readCopy(id: Uint8Array, location: ChunkLocation): Promise<Buffer> {
    const frame = await this.#store.getRange(packName(location.packId), location.offset, location.frameLength);
    return this.#openerOf(location).openChunkFrame(
      { id, offset: location.offset, rawLength: location.rawLength },
      frame,
    );
  }

  #openerOf({ packNumber, packId, content, epoch }: ChunkLocation): PackOpener {
    const known = this.#openers.get(packNumber);
    if (known !== undefined) return known;
    if (this.#openers.size >= OPENERS_MAX) this.#openers.clear();
    const opener = new PackOpener({ keys: this.#keys, packId, content, epoch });
    this.#openers.set(packNumber, opener);
    return opener;
  }
}

function chunkDamaged(id: Uint8Array, found: string[]): HoldfastError {
  return new HoldfastError('CHUNK_DAMAGED', `cannot read chunk ${shortId(id)}: every copy of it is damaged`, {
    detail: found.join(' '),
    hints: ['Run `holdfast verify` to record the damage; the next backup then stores what it still has again.'],
  });
}

function chunkAbsent(id: Uint8Array, found: string[], index: ChunkIndex): HoldfastError {
  const unreadable = index.unreadable.map(({ name }) => `"${name}"`).join(', ');
  const named =
    found.length > 0 ? `The index names packs that are not there: ${found.join(' ')}` : 'No index object names it.';
  return new HoldfastError('CHUNK_ABSENT', `cannot read chunk ${shortId(id)}: the repository does not have it`, {
    detail: unreadable === '' ? named : `${named} Index objects that could not be read: ${unreadable}.`,
    hints: ['Run `holdfast verify` to see which snapshots need it.'],
  });
}

function shortId(id: Uint8Array): string {
  return Buffer.from(id).toString('hex').slice(0, 16);
}
