import { codeOf, GarbageGauge, HoldfastError, messageOf } from '../../lib/index.ts';
import { HEADER_BYTES } from '../codec/index.ts';
import type { KeyRing } from '../key/index.ts';
import { isDamageOfOnePlace, type ObjectStore, readProved } from '../object-store/index.ts';
import { PackOpener, packName } from '../pack/index.ts';
import type { ChunkIndex, ChunkLocation } from './chunk-index.ts';

/** Openers kept with their derived keys: neighbours in a tree lie in few packs. */
const OPENERS_MAX = 64;

/**
 * Chunks of a tree lie in the order in which a walk needs them, a few hundred bytes each: so much is read at once, and so many windows are kept.
 */
const WINDOW_BYTES = 256 << 10;
const WINDOWS_MAX = 8;

/** A stretch of a tree pack, being read or there. */
interface Window {
  readonly packNumber: number;
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Buffer>;
}

/** Errors of one copy after which the next one is tried; anything else is the store's own trouble. */
const COPY_LOST_CODES = new Set(['OBJECT_ABSENT', 'OBJECT_TRUNCATED', 'CHUNK_DAMAGED', 'KEY_EPOCH_ABSENT']);

/**
 * Reads single chunks: for trees and maps, whose neighbours come along. Bulk data goes through the extract pipeline. What was not sound is asked of
 * the store again the next time.
 */
export class ChunkReader {
  readonly #store: ObjectStore;
  readonly #keys: KeyRing;
  readonly #index: ChunkIndex;
  readonly #openers = new Map<number, PackOpener>();
  /** The one that was used last stands last. */
  readonly #windows: Window[] = [];
  /** Packs of which a window could not be had, as they are shorter than the index says. */
  readonly #cut = new Set<number>();
  readonly #garbage = new GarbageGauge({ bytesMax: 32 << 20, type: 'major' });

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
    const { packId, offset, frameLength, rawLength } = location;
    const open = (frame: Buffer) => this.#openerOf(location).openChunkFrame({ id, offset, rawLength }, frame);
    try {
      return open(await this.#readFrame(location));
    } catch (error) {
      this.#forget(location);
      if (this.#store.readProved === undefined || !isDamageOfOnePlace(error)) throw error;
    }
    const name = packName(packId);
    return readProved(this.#store, name, async (from) => open(await from.getRange(name, offset, frameLength)));
  }

  async #readFrame(location: ChunkLocation): Promise<Buffer> {
    const { packId, packNumber, offset, frameLength } = location;
    const isWindowed = location.content === 'tree' && frameLength <= WINDOW_BYTES / 2;
    if (isWindowed && !this.#cut.has(packNumber)) {
      const window = this.#windowAt(location);
      try {
        const bytes = await window.bytes;
        return bytes.subarray(offset - window.start, offset - window.start + frameLength);
      } catch {
        // The pack was cut, or the store has a trouble, which the request for the frame alone tells.
        this.#forget(location);
        this.#cut.add(packNumber);
      }
    }
    return this.#store.getRange(packName(packId), offset, frameLength);
  }

  #windowAt(location: ChunkLocation): Window {
    const { packNumber, offset, frameLength } = location;
    const at = this.#windows.findIndex(
      ({ packNumber: other, start, end }) => other === packNumber && start <= offset && offset + frameLength <= end,
    );
    const window = at === -1 ? this.#openWindow(location) : this.#windows.splice(at, 1)[0]!;
    // Whoever waits for it sees its failure.
    window.bytes.catch(() => {});
    this.#windows.push(window);
    if (this.#windows.length > WINDOWS_MAX) {
      this.#windows.shift();
      this.#garbage.add(WINDOW_BYTES);
    }
    return window;
  }

  /** What follows in the pack; near its end what comes before as well: there the nodes next to the root lie, which are written last and read first. */
  #openWindow({ packId, packNumber, offset, chunksEnd }: ChunkLocation): Window {
    const start = Math.max(HEADER_BYTES, Math.min(offset, chunksEnd - WINDOW_BYTES));
    const end = Math.min(start + WINDOW_BYTES, chunksEnd);
    return { packNumber, start, end, bytes: this.#store.getRange(packName(packId), start, end - start) };
  }

  #forget({ packNumber, offset }: ChunkLocation): void {
    const at = this.#windows.findIndex(
      ({ packNumber: other, start, end }) => other === packNumber && start <= offset && offset < end,
    );
    if (at !== -1) this.#windows.splice(at, 1);
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
