import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** Level 1 is written into `format`; it costs the least time per byte saved. */
export const COMPRESSION_LEVEL = 1;

/** The smallest output buffer that zlib accepts. */
const CHUNK_SIZE_MIN = 64;

/**
 * Compresses with zstd at `level` (1 to 19); `null` when that would not be smaller.
 *
 * An output buffer of the largest possible size and the announced input size spare zlib its growing and joining.
 */
export function compress(raw: Uint8Array, level = COMPRESSION_LEVEL): Buffer | null {
  if (raw.length === 0) return null;
  const compressed = zstdCompressSync(raw, {
    chunkSize: compressedBytesMax(raw.length),
    pledgedSrcSize: raw.length,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
  return compressed.length < raw.length ? compressed : null;
}

/**
 * Reverses `compress`; `null` when the bytes are not zstd of exactly `rawLength` bytes.
 *
 * Only authenticated bytes come here, so `null` means that they were sealed wrongly; no more than `rawLength` bytes are ever made.
 */
export function decompress(compressed: Uint8Array, rawLength: number): Buffer | null {
  let raw: Buffer;
  try {
    raw = zstdDecompressSync(compressed, {
      chunkSize: Math.max(CHUNK_SIZE_MIN, rawLength + 64),
      maxOutputLength: Math.max(1, rawLength),
    });
  } catch {
    // Not zstd, cut short, or longer than said: the caller names the object that holds it.
    return null;
  }
  return raw.length === rawLength ? raw : null;
}

/** ZSTD_COMPRESSBOUND of zstd.h, and a few bytes. */
function compressedBytesMax(rawLength: number): number {
  const small = rawLength < 131_072 ? (131_072 - rawLength) >>> 11 : 0;
  return rawLength + (rawLength >>> 8) + small + CHUNK_SIZE_MIN;
}
