import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError, messageOf } from '../../../lib/index.ts';

/** Read at once, as what is sealed is sealed in pieces of this size. */
const PIECE_BYTES = 1024 * 1024;

/**
 * A segment while it arrives, on a local disk: memory stays small whatever the size of a segment, and a store that is away for a while is
 * bridged. It is not synced, and it has no name, so that a receiver that is killed leaves nothing: what it held is on the server still.
 */
export class SegmentFile {
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

  /** Exactly the bytes from `start` up to `end`, which were written before. */
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

  /** The first `length` bytes, in pieces. */
  async *pieces(length: number): AsyncGenerator<Buffer, void> {
    for (let at = 0; at < length; at += PIECE_BYTES) yield await this.read(at, Math.min(length, at + PIECE_BYTES));
  }

  /** Gives the space back. */
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
