import { closeSync, existsSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { assert } from '../../lib/index.ts';
import { newSpoolPath, storeErrorOf } from '../object-store/index.ts';

/** Records gathered before they are written: a few system calls for each index object. */
const GATHERED_RECORDS = 1024;

/**
 * Records of one length in a temporary file that has no name: it goes with the process, however that ends.
 *
 * Synchronous, since a lookup is one read of a page that is nearly always in the page cache.
 * Errors: `STORE_FULL`, `STORE_DENIED`, `STORE_FAILED` for the directory it lies in.
 */
export class RecordFile {
  readonly #recordBytes: number;
  readonly #gathered: Buffer;
  readonly #words: Uint32Array;
  readonly #directory: string;
  #descriptor: number | null = null;
  #written = 0;
  #count = 0;

  constructor(directory: string, recordBytes: number) {
    this.#directory = directory;
    this.#recordBytes = recordBytes;
    assert(recordBytes % 4 === 0, 'a record is made of words');
    this.#gathered = Buffer.allocUnsafeSlow(recordBytes * GATHERED_RECORDS);
    this.#words = new Uint32Array(this.#gathered.buffer, 0, this.#gathered.length / 4);
  }

  get memoryBytes(): number {
    return this.#gathered.length;
  }

  /** Records so far: the number of the next one. */
  get count(): number {
    return this.#count;
  }

  /** The memory that `reserve` gives places in, as words of 32 bits in the order of this machine. */
  get words(): Uint32Array {
    return this.#words;
  }

  /**
   * Adds a record and gives the place of its first word in `words`, to be filled before the next call. Nothing is allocated: millions of
   * records are added while a repository is opened.
   */
  reserve(): number {
    if (this.#count - this.#written === GATHERED_RECORDS) this.#flush();
    const at = (this.#count - this.#written) * this.#recordBytes;
    this.#count += 1;
    return at / 4;
  }

  /** Reads record `number` into `target`. */
  read(number: number, target: Buffer): void {
    assert(number < this.#count, 'a record that was appended');
    if (number >= this.#written) {
      const at = (number - this.#written) * this.#recordBytes;
      this.#gathered.copy(target, 0, at, at + this.#recordBytes);
      return;
    }
    try {
      const read = readSync(this.#open(), target, 0, this.#recordBytes, number * this.#recordBytes);
      assert(read === this.#recordBytes, 'the temporary file of the index is whole');
    } catch (error) {
      throw storeErrorOf(error, 'read the temporary file of the index');
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
    this.#count = 0;
    this.#written = 0;
  }

  #flush(): void {
    const bytes = (this.#count - this.#written) * this.#recordBytes;
    const start = this.#written * this.#recordBytes;
    try {
      for (let done = 0; done < bytes; ) {
        done += writeSync(this.#open(), this.#gathered, done, bytes - done, start + done);
      }
    } catch (error) {
      throw storeErrorOf(error, 'write the temporary file of the index');
    }
    this.#written = this.#count;
  }

  #open(): number {
    if (this.#descriptor === null) {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      const path = newSpoolPath(this.#directory);
      this.#descriptor = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
    }
    return this.#descriptor;
  }
}

/** On a disk, where /tmp may be memory. */
const DISK_SCRATCH = '/var/tmp';

/** Where the temporary file goes unless the caller knows better. */
export function defaultScratchDirectory(): string {
  return process.env.TMPDIR === undefined && existsSync(DISK_SCRATCH) ? DISK_SCRATCH : tmpdir();
}
