import { rm } from 'node:fs/promises';
import { HoldfastError } from '../../src/lib/index.ts';
import type { ObjectEntry, ObjectStat, ObjectStore, PutOutcome } from '../../src/repository/index.ts';

/** The calls of a store that a fault can meet. */
export type StoreCall = Exclude<keyof ObjectStore, 'description' | 'createPlace'>;

/**
 * What goes wrong with one call.
 *
 * `fail`: it throws and does nothing. `lose-answer`: it does all and then throws. `tear`: a put stores the first half and says that all is well, as a
 * store that breaks its promises would; no other call can be torn.
 */
export interface Fault {
  kind: 'fail' | 'lose-answer' | 'tear';
  call: StoreCall | 'any';
  /** Which call of that kind, from 1, counted from when the fault was planned. Every call when it is missing. */
  nth?: number;
  /** Only calls whose name (or prefix) begins so are counted. */
  name?: string;
  /** What is thrown; a retryable `STORE_UNAVAILABLE` unless said otherwise. */
  error?: () => Error;
}

interface Planned extends Fault {
  seen: number;
}

/** A store in front of a real one, in which the faults of a test happen. */
export class FaultyStore implements ObjectStore {
  readonly description: string;
  /** Every call, in order, as `putIfAbsent packs/…`. */
  readonly calls: string[] = [];
  readonly #store: ObjectStore;
  readonly #faults: Planned[] = [];

  constructor(store: ObjectStore) {
    this.description = store.description;
    this.#store = store;
  }

  plan(fault: Fault): this {
    this.#faults.push({ ...fault, seen: 0 });
    return this;
  }

  /** All is well again. */
  heal(): void {
    this.#faults.length = 0;
  }

  putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    return this.#meet('putIfAbsent', name, (torn) => {
      const whole = Buffer.concat(parts instanceof Uint8Array ? [parts] : parts);
      return this.#store.putIfAbsent(name, torn ? whole.subarray(0, whole.length / 2) : whole);
    });
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    try {
      return await this.#meet('putFileIfAbsent', name, () => this.#store.putFileIfAbsent(name, path));
    } finally {
      // A store takes the file over, whatever the outcome.
      await rm(path, { force: true });
    }
  }

  spoolDirectory(): Promise<string> {
    return this.#meet('spoolDirectory', '', () => this.#store.spoolDirectory());
  }

  get(name: string): Promise<Buffer> {
    return this.#meet('get', name, () => this.#store.get(name));
  }

  getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#meet('getRange', name, () => this.#store.getRange(name, offset, length));
  }

  stat(name: string): Promise<ObjectStat | null> {
    return this.#meet('stat', name, () => this.#store.stat(name));
  }

  /** A failing listing breaks off behind its first entry, if it has one. */
  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectEntry, void> {
    const fault = this.#next('list', prefix);
    for await (const entry of this.#store.list(prefix, options)) {
      yield entry;
      if (fault !== null) break;
    }
    if (fault !== null) throw errorOf(fault, 'list', prefix);
  }

  delete(name: string): Promise<void> {
    return this.#meet('delete', name, () => this.#store.delete(name));
  }

  putVolatile(name: string, body: Uint8Array): Promise<void> {
    return this.#meet('putVolatile', name, (torn) => {
      return this.#store.putVolatile(name, torn ? body.subarray(0, body.length / 2) : body);
    });
  }

  now(): Promise<number> {
    return this.#meet('now', '', () => this.#store.now());
  }

  async #meet<T>(call: StoreCall, name: string, act: (torn: boolean) => Promise<T>): Promise<T> {
    const fault = this.#next(call, name);
    if (fault?.kind === 'fail') throw errorOf(fault, call, name);
    const answer = await act(fault?.kind === 'tear');
    if (fault?.kind === 'lose-answer') throw errorOf(fault, call, name);
    return answer;
  }

  #next(call: StoreCall, name: string): Fault | null {
    this.calls.push(`${call} ${name}`.trimEnd());
    let met: Fault | null = null;
    for (const fault of this.#faults) {
      if ((fault.call !== 'any' && fault.call !== call) || !name.startsWith(fault.name ?? '')) continue;
      fault.seen += 1;
      if (fault.nth === undefined || fault.seen === fault.nth) met ??= fault;
    }
    return met;
  }
}

function errorOf(fault: Fault, call: StoreCall, name: string): Error {
  if (fault.error !== undefined) return fault.error();
  return new HoldfastError('STORE_UNAVAILABLE', `could not ${call} "${name}": planned by the test`, {
    retryable: true,
  });
}
