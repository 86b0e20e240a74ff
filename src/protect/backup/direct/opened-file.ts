import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { assert, codeOf } from '../../../lib/index.ts';
import { BLOCK_BYTES } from '../../../postgres/page/index.ts';
import { readFailed } from './direct-error.ts';
import type { FileToRead } from './read-messages.ts';

/**
 * A file of a running server, read from its beginning to the size that it had when it was opened.
 *
 * What it grows by is left to WAL. One that shrinks is filled up with zeros, as the server does when it sends it; WAL cuts it again.
 */
export class OpenedFile {
  readonly number: number;
  readonly segment: number | null;
  readonly size: number;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly #path: string;
  readonly #descriptor: number;
  #position = 0;
  /** Where the file was found to end before its size; what lies behind is zeros from then on. */
  #endedAt = Number.POSITIVE_INFINITY;

  private constructor(file: FileToRead, descriptor: number) {
    const { size, mode, mtimeMs } = fstatSync(descriptor);
    this.number = file.number;
    this.segment = file.segment;
    this.size = size;
    this.mode = mode & 0o7777;
    this.mtimeMs = mtimeMs;
    this.#path = file.from;
    this.#descriptor = descriptor;
  }

  /** Null for a file that is not there any more. Errors: BACKUP_DIRECT_READ_FAILED, BACKUP_DIRECT_CLOSED. */
  static open(file: FileToRead): OpenedFile | null {
    let descriptor: number;
    try {
      descriptor = openSync(file.from, 'r');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw readFailed(file.from, error);
    }
    return new OpenedFile(file, descriptor);
  }

  /** Whether it is whole pages of a relation. */
  get isPaged(): boolean {
    return this.segment !== null && this.size % BLOCK_BYTES === 0;
  }

  /** Where the next byte comes from. */
  get position(): number {
    return this.#position;
  }

  /** Fills `into` with the next bytes. Errors: BACKUP_DIRECT_READ_FAILED. */
  readInto(into: Buffer): void {
    assert(this.#position + into.length <= this.size, 'a file is read up to its size');
    const found = this.#endedAt === Number.POSITIVE_INFINITY ? this.readAgain(into, this.#position) : 0;
    if (found < into.length) {
      this.#endedAt = Math.min(this.#endedAt, this.#position + found);
      into.fill(0, found);
    }
    this.#position += into.length;
  }

  /** Reads bytes at a place as they are now; gives how many there are before the end. Errors: BACKUP_DIRECT_READ_FAILED. */
  readAgain(into: Buffer, position: number): number {
    let found = 0;
    try {
      while (found < into.length) {
        const count = readSync(this.#descriptor, into, found, into.length - found, position + found);
        if (count === 0) break;
        found += count;
      }
    } catch (error) {
      throw readFailed(this.#path, error);
    }
    return found;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
