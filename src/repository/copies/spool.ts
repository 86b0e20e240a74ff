import { join } from 'node:path';
import { type Clock, HoldfastError } from '../../lib/index.ts';
import { readFormatHead } from '../format/index.ts';
import { type ObjectEntry, type ObjectStore, openDiskStore } from '../object-store/index.ts';
import { WRITE_STEPS, writeStepOf } from './write-order.ts';

interface Waiting {
  readonly bytes: number;
  readonly modifiedAt: number;
  /** A required copy has it: it is durable away. */
  isHeld: boolean;
}

/** What waits on this machine for one repository: objects on a disk, and what is known of each. */
export class Spool {
  readonly store: ObjectStore;
  readonly directory: string;
  /** The primary's `format`, by which it is known again. */
  readonly format: Buffer;
  readonly #waiting = new Map<string, Waiting>();
  /** What the primary contradicts: it stays on the disk, and is neither listed nor handed over by this process. */
  readonly #aside = new Map<string, Waiting>();
  #bytes = 0;

  private constructor(store: ObjectStore, directory: string, format: Buffer) {
    this.store = store;
    this.directory = directory;
    this.format = format;
  }

  /** `null` for bytes that are no `format` of ours. What a process of before left is counted. Errors: those of the disk. */
  static async open(above: string, format: Buffer, clock: Clock): Promise<Spool | null> {
    const head = readFormatHead(format);
    if (head.state !== 'ours') return null;
    const directory = spoolOf(above, head.id);
    const store = openDiskStore(directory, { clock });
    await store.createPlace?.();
    const spool = new Spool(store, directory, format);
    for await (const { name, size, modifiedAt } of store.list('')) spool.count(name, size, modifiedAt);
    return spool;
  }

  /** In the order in which they are handed over: nothing before what it needs. */
  get names(): string[] {
    return [...this.#waiting.keys()].sort((a, b) => stepOf(a) - stepOf(b) || (a < b ? -1 : 1));
  }

  /** That no required copy has. */
  get onlyHere(): string[] {
    return [...this.#waiting].filter(([, { isHeld }]) => !isHeld).map(([name]) => name);
  }

  /** Of all that lies here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All that lies here. */
  get objects(): number {
    return this.#waiting.size + this.#aside.size;
  }

  /** What is to go to the primary. */
  get waiting(): number {
    return this.#waiting.size;
  }

  has(name: string): boolean {
    return this.#waiting.has(name);
  }

  isOnlyHere(name: string): boolean {
    return this.#waiting.get(name)?.isHeld === false;
  }

  list(prefix: string, startAfter = ''): ObjectEntry[] {
    const names = [...this.#waiting.keys()].filter((name) => name.startsWith(prefix) && name > startAfter);
    return names.sort().map((name) => {
      const { bytes, modifiedAt } = this.#waiting.get(name)!;
      return { name, size: bytes, modifiedAt };
    });
  }

  count(name: string, bytes: number, modifiedAt: number): void {
    if (this.#waiting.has(name)) return;
    this.#waiting.set(name, { bytes, modifiedAt, isHeld: false });
    this.#bytes += bytes;
  }

  /** True when it was not known before. */
  noteHeld(name: string): boolean {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined || waiting.isHeld) return false;
    waiting.isHeld = true;
    return true;
  }

  /** Errors: those of the disk. */
  async forget(name: string): Promise<void> {
    await this.store.delete(name);
    this.#bytes -= this.#waiting.get(name)?.bytes ?? 0;
    this.#waiting.delete(name);
  }

  setAside(name: string): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    this.#aside.set(name, waiting);
  }

  /** Errors: STORE_SPOOL_FULL. */
  assertRoom(bytes: number, budgetBytes: number, why: string): void {
    if (this.#bytes + bytes <= budgetBytes) return;
    throw new HoldfastError('STORE_SPOOL_FULL', 'could not keep WAL on this machine: the spool for outages is full', {
      detail: `Expected room for ${bytes} bytes within ${budgetBytes}, found ${this.#bytes} in use. ${why}`,
      hints: ['Mend the way to the primary; from here on the server keeps its WAL itself.'],
      retryable: true,
    });
  }
}

/** Where what waits for one repository lies. */
export function spoolOf(above: string, repositoryId: string): string {
  return join(above, repositoryId);
}

/** The place of a name in the order of writes. */
export function stepOf(name: string): number {
  return WRITE_STEPS.indexOf(writeStepOf(name) ?? 'others');
}
