import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { storeErrorOf } from './basics/index.ts';
import type { RateLimit } from './rate-limit.ts';

/** Which digest the server compares. */
export type UploadDigest = 'sha256' | 'md5';

/** Bytes on their way into the store, with what the server holds them against. */
export interface Upload {
  readonly size: number;
  readonly digest: Buffer;
  /** Bytes in memory, or a stream to be read once and destroyed whatever happens. */
  open(): Buffer | Readable;
}

/** Read and sent at once: large enough for a fast line, small enough for many files at the same time. */
const PIECE_BYTES = 256 * 1024;

/** Shared by all transfers, a rate needs small pieces: none may wait for its turn until its connection counts as dead. */
const LIMITED_PIECE_BYTES = 16 * 1024;

export function uploadOfBytes(bytes: Buffer, algorithm: UploadDigest, rate: RateLimit | null): Upload {
  const digest = createHash(algorithm).update(bytes).digest();
  return {
    size: bytes.length,
    digest,
    open: () => (rate === null || bytes.length === 0 ? bytes : Readable.from(cut(bytes, rate), { objectMode: false })),
  };
}

/**
 * A file that is read twice, for its checksum and for sending, and never lies in memory as a whole.
 * Errors: those of the system, in the store's codes.
 */
export async function uploadOfFile(path: string, algorithm: UploadDigest, rate: RateLimit | null): Promise<Upload> {
  const { size, digest } = await hashFile(path, algorithm);
  return {
    size,
    digest,
    open: () => {
      if (size === 0) return Buffer.alloc(0);
      const highWaterMark = rate === null ? PIECE_BYTES : LIMITED_PIECE_BYTES;
      // Never more than was announced: the request would not end.
      const file = createReadStream(path, { highWaterMark, end: size - 1 });
      return rate === null ? file : (file.compose(paced(rate)) as Readable);
    },
  };
}

async function hashFile(path: string, algorithm: UploadDigest): Promise<{ size: number; digest: Buffer }> {
  try {
    await using file = await open(path, 'r');
    const hash = createHash(algorithm);
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    let size = 0;
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.length, size);
      if (bytesRead === 0) return { size, digest: hash.digest() };
      hash.update(piece.subarray(0, bytesRead));
      size += bytesRead;
    }
  } catch (error) {
    throw storeErrorOf(error, `read spool file "${path}"`);
  }
}

async function* cut(bytes: Buffer, rate: RateLimit): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += LIMITED_PIECE_BYTES) {
    const piece = bytes.subarray(at, at + LIMITED_PIECE_BYTES);
    await rate.take(piece.length);
    yield piece;
  }
}

function paced(rate: RateLimit) {
  return async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      await rate.take(piece.length);
      yield piece;
    }
  };
}
