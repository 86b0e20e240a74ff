import { HoldfastError } from '../../lib/index.ts';
import { memoryStore } from './memory-store.ts';
import { isAbsent, type ObjectEntry, type ObjectStat, type ObjectStore } from './store.ts';

/**
 * A store that shows what another one has, and keeps what is put into it for itself, in memory: for asking what would come of something.
 *
 * Nothing ever reaches the store below; what is deleted there is refused, as nothing could take its place.
 */
export function overlayStore(below: ObjectStore): ObjectStore {
  return new OverlayStore(below);
}

class OverlayStore implements ObjectStore {
  readonly description: string;
  readonly #below: ObjectStore;
  readonly #above = memoryStore();

  constructor(below: ObjectStore) {
    this.description = below.description;
    this.#below = below;
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]) {
    return (await this.#below.stat(name)) === null ? this.#above.putIfAbsent(name, parts) : 'exists';
  }

  async putFileIfAbsent(name: string, path: string) {
    return (await this.#below.stat(name)) === null ? this.#above.putFileIfAbsent(name, path) : 'exists';
  }

  spoolDirectory(): Promise<string> {
    return this.#above.spoolDirectory();
  }

  get(name: string): Promise<Buffer> {
    return this.#either((store) => store.get(name));
  }

  getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#either((store) => store.getRange(name, offset, length));
  }

  async stat(name: string): Promise<ObjectStat | null> {
    return (await this.#above.stat(name)) ?? this.#below.stat(name);
  }

  /** Both lists are in order, and no name is in both. */
  async *list(prefix: string, options: { startAfter?: string; hidden?: boolean } = {}): AsyncGenerator<ObjectEntry> {
    const above: ObjectEntry[] = [];
    for await (const entry of this.#above.list(prefix, options)) above.push(entry);
    for await (const entry of this.#below.list(prefix, options)) {
      while (above[0] !== undefined && above[0].name < entry.name) yield above.shift()!;
      yield entry;
    }
    yield* above;
  }

  async delete(name: string): Promise<void> {
    if ((await this.#below.stat(name)) === null) return this.#above.delete(name);
    throw new HoldfastError('STORE_DENIED', `cannot delete object "${name}" of a store that is only looked at`);
  }

  putVolatile(name: string, body: Uint8Array): Promise<void> {
    return this.#above.putVolatile(name, body);
  }

  now(): Promise<number> {
    return this.#below.now();
  }

  async #either<T>(read: (store: ObjectStore) => Promise<T>): Promise<T> {
    try {
      return await read(this.#above);
    } catch (error) {
      if (isAbsent(error)) return read(this.#below);
      throw error;
    }
  }
}
