import { readFile, unlink } from 'node:fs/promises';
import { type Clock, systemClock } from '../../lib/index.ts';
import { objectAbsent, objectTooShort, storeErrorOf } from './basics/index.ts';
import { assertObjectName, assertVolatileName, requireObjectName } from './object-name.ts';
import { makeTemporarySpool } from './spool-directory.ts';
import type { ObjectEntry, ObjectStore, PutOutcome } from './store.ts';

/** Objects in memory, for tests and for trying things out: durable for as long as the process lives. */
export function memoryStore(options: { clock?: Clock } = {}): ObjectStore {
  return new MemoryStore(options.clock ?? systemClock);
}

class MemoryStore implements ObjectStore {
  readonly description = 'memory';
  readonly #clock: Clock;
  readonly #objects = new Map<string, { bytes: Buffer; modifiedAt: number }>();
  #spool: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    assertObjectName(name);
    return this.#put(name, Buffer.concat(parts instanceof Uint8Array ? [parts] : parts));
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    assertObjectName(name);
    try {
      const bytes = await readFile(path);
      await unlink(path);
      return this.#put(name, bytes);
    } catch (error) {
      throw storeErrorOf(error, `write object "${name}"`);
    }
  }

  async replaceDamaged(name: string, path: string): Promise<void> {
    assertObjectName(name);
    try {
      const bytes = await readFile(path);
      await unlink(path);
      this.#objects.set(name, { bytes, modifiedAt: this.#clock.now() });
    } catch (error) {
      throw storeErrorOf(error, `write object "${name}"`);
    }
  }

  async spoolDirectory(): Promise<string> {
    this.#spool ??= makeTemporarySpool();
    return this.#spool;
  }

  async get(name: string): Promise<Buffer> {
    return Buffer.from(this.#read(name));
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    const bytes = this.#read(name).subarray(offset, offset + length);
    if (bytes.length === length) return Buffer.from(bytes);
    throw objectTooShort(name, { offset, length }, bytes.length);
  }

  async stat(name: string) {
    requireObjectName(name);
    const object = this.#objects.get(name);
    return object === undefined ? null : { size: object.bytes.length, modifiedAt: object.modifiedAt };
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectEntry, void> {
    const startAfter = options.startAfter ?? '';
    const names = [...this.#objects.keys()].filter((name) => name.startsWith(prefix) && name > startAfter);
    // Names are ASCII, whose order as text is their order as bytes.
    for (const name of names.sort()) {
      const object = this.#objects.get(name);
      if (object !== undefined) yield { name, size: object.bytes.length, modifiedAt: object.modifiedAt };
    }
  }

  async delete(name: string): Promise<void> {
    assertObjectName(name);
    this.#objects.delete(name);
  }

  async putVolatile(name: string, body: Uint8Array): Promise<void> {
    assertVolatileName(name);
    this.#objects.set(name, { bytes: Buffer.from(body), modifiedAt: this.#clock.now() });
  }

  async now(): Promise<number> {
    return this.#clock.now();
  }

  #put(name: string, bytes: Buffer): PutOutcome {
    if (this.#objects.has(name)) return 'exists';
    this.#objects.set(name, { bytes, modifiedAt: this.#clock.now() });
    return 'created';
  }

  #read(name: string): Buffer {
    requireObjectName(name);
    const object = this.#objects.get(name);
    if (object !== undefined) return object.bytes;
    throw objectAbsent(name, this.description);
  }
}
