import type { ObjectStore } from '../../src/repository/index.ts';

/** What a reading gives instead; `reading` counts the readings of that object from 1. Whoever throws makes the reading fail. */
export type Alteration = (name: string, bytes: Buffer, reading: number) => Buffer;

/** A store in front of a real one whose readings a test can alter, as a device would that fails at times. Nothing that is stored changes. */
export class AlteringStore implements ObjectStore {
  readonly description: string;
  readonly #store: ObjectStore;
  readonly #alter: Alteration;
  readonly #readings = new Map<string, number>();
  /** Readings that gave something else than what is stored. */
  altered = 0;

  constructor(store: ObjectStore, alter: Alteration) {
    this.description = store.description;
    this.#store = store;
    this.#alter = alter;
  }

  async get(name: string): Promise<Buffer> {
    return this.#pass(name, await this.#store.get(name));
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#pass(name, await this.#store.getRange(name, offset, length));
  }

  putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]) {
    return this.#store.putIfAbsent(name, parts);
  }

  putFileIfAbsent(name: string, path: string) {
    return this.#store.putFileIfAbsent(name, path);
  }

  spoolDirectory() {
    return this.#store.spoolDirectory();
  }

  stat(name: string) {
    return this.#store.stat(name);
  }

  list(prefix: string, options: { startAfter?: string } = {}) {
    return this.#store.list(prefix, options);
  }

  delete(name: string) {
    return this.#store.delete(name);
  }

  putVolatile(name: string, body: Uint8Array) {
    return this.#store.putVolatile(name, body);
  }

  now() {
    return this.#store.now();
  }

  #pass(name: string, bytes: Buffer): Buffer {
    const reading = (this.#readings.get(name) ?? 0) + 1;
    this.#readings.set(name, reading);
    const given = this.#alter(name, Buffer.from(bytes), reading);
    if (!given.equals(bytes)) this.altered += 1;
    return given;
  }
}
