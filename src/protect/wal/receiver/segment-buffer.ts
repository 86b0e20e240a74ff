import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, copyBytes, HoldfastError, messageOf } from '../../../lib/index.ts';

/** Read at once, as what is sealed is sealed in pieces of this size. */
const PIECE_BYTES = 1024 * 1024;

/** Segments up to this size, PostgreSQL's own choice, are held in memory while they arrive. */
const MEMORY_SEGMENT_BYTES_MAX = 16 * 1024 * 1024;

/** A segment while it arrives. What it holds is on the server still, so nothing of it need outlive the receiver. */
export interface SegmentBuffer {
  write(offset: number, bytes: Uint8Array): void | Promise<void>;
  /** Exactly the bytes from `start` up to `end`, which were written before. They stay as they are until `close`. */
  read(start: number, end: number): Buffer | Promise<Buffer>;
  /** The first `length` bytes, in pieces. */
  pieces(length: number): AsyncIterable<Buffer>;
  /** All of it, where it lies in memory that other threads see as well; null where it does not. Good until `close`. */
  readonly shared: Buffer | null;
  /** Gives the space back. */
  close(): void | Promise<void>;
}

/** Makes buffers for segments of one size: those of the usual size in memory, larger ones on a local disk. */
export class SegmentBuffers {
  readonly #segmentBytes: number;
  readonly #directory: string;
  /** Memory of segments that are done: 16 MiB that are mapped anew for each segment cost more than filling them. */
  readonly #spare: Buffer[] = [];

  constructor(segmentBytes: number, directory: string) {
    this.#segmentBytes = segmentBytes;
    this.#directory = directory;
  }

  /** Errors: WAL_SPOOL_FAILED. */
  async open(): Promise<SegmentBuffer> {
    if (this.#segmentBytes > MEMORY_SEGMENT_BYTES_MAX) return SegmentFile.create(this.#directory);
    const memory = this.#spare.pop() ?? Buffer.from(new SharedArrayBuffer(this.#segmentBytes));
    return new SegmentMemory(memory, () => this.#spare.push(memory));
  }
}

class SegmentMemory implements SegmentBuffer {
  #memory: Buffer | null;
  readonly #giveBack: () => void;

  constructor(memory: Buffer, giveBack: () => void) {
    this.#memory = memory;
    this.#giveBack = giveBack;
  }

  get shared(): Buffer {
    return this.#held();
  }

  write(offset: number, bytes: Uint8Array): void {
    copyBytes(bytes, this.#held(), offset);
  }

  read(start: number, end: number): Buffer {
    return this.#held().subarray(start, end);
  }

  async *pieces(length: number): AsyncGenerator<Buffer, void> {
    for (let at = 0; at < length; at += PIECE_BYTES) yield this.read(at, Math.min(length, at + PIECE_BYTES));
  }

  close(): void {
    if (this.#memory !== null) this.#giveBack();
    this.#memory = null;
  }

  #held(): Buffer {
    assert(this.#memory !== null, 'a segment that was given back is not used');
    return this.#memory;
  }
}

/**
 * A segment on a local disk, so that memory stays small whatever its size. It is not synced, and it has no name, so that a receiver that is
 * killed leaves nothing.
 */
class SegmentFile implements SegmentBuffer {
  readonly shared = null;
  readonly #file: FileHandle;
  readonly #directory: string;

  private constructor(file: FileHandle, directory: string) {
    this.#file = file;
    this.#directory = directory;
  }

  /** Errors: WAL_SPOOL_FAILED. */
  static async create(directory: string): Promise<SegmentFile> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const path = join(directory, `wal-segment-${randomBytes(8).toString('hex')}`);
      const file = await open(path, 'wx+', 0o600);
      await rm(path);
      return new SegmentFile(file, directory);
    } catch (error) {
      throw spoolFailed(directory, error);
    }
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw spoolFailed(this.#directory, error);
    }
  }

  async read(start: number, end: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(end - start);
    try {
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw new Error(`the file ends at ${start + done}`);
        done += bytesRead;
      }
    } catch (error) {
      throw spoolFailed(this.#directory, error);
    }
    return bytes;
  }

  async *pieces(length: number): AsyncGenerator<Buffer, void> {
    for (let at = 0; at < length; at += PIECE_BYTES) yield await this.read(at, Math.min(length, at + PIECE_BYTES));
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function spoolFailed(directory: string, error: unknown): HoldfastError {
  return new HoldfastError('WAL_SPOOL_FAILED', `could not keep arriving WAL in "${directory}"`, {
    detail: `The system said: ${messageOf(error)}.`,
    hints: ['Check that the state directory has room for a few WAL segments and may be written to.'],
    cause: error,
  });
}
