import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { giveBack } from '../../lib/index.ts';

/** Level 1 is written into `format`; it costs the least time per byte saved. */
export const COMPRESSION_LEVEL = 1;

/** Output buffers are never smaller: of this size they have memory of their own, which can be given back at once. */
const OUTPUT_BYTES_MIN = 96 << 10;

/**
 * Compresses with zstd at `level` (1 to 19); `null` when that would not be smaller.
 *
 * An output buffer of the largest possible size and the announced input size spare zlib its growing and joining.
 */
export function compress(raw: Uint8Array, level = COMPRESSION_LEVEL): Buffer | null {
  if (raw.length === 0) return null;
  const output = zstdCompressSync(raw, {
    chunkSize: Math.max(OUTPUT_BYTES_MIN, compressedBytesMax(raw.length)),
    pledgedSrcSize: raw.length,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  });
  const compressed = output.length < raw.length ? Buffer.from(output) : null;
  giveBack(output);
  return compressed;
}

/**
 * Reverses `compress`; `null` when the bytes are not zstd of exactly `rawLength` bytes.
 *
 * Only authenticated bytes come here, so `null` means that they were sealed wrongly; no more than `rawLength` bytes are ever made.
 */
export function decompress(compressed: Uint8Array, rawLength: number): Buffer | null {
  let output: Buffer;
  try {
    output = zstdDecompressSync(compressed, {
      chunkSize: Math.max(OUTPUT_BYTES_MIN, rawLength + 64),
      maxOutputLength: Math.max(1, rawLength),
    });
  } catch {
    // Not zstd, cut short, or longer than said: the caller names the object that holds it.
    return null;
  }
  if (output.length !== rawLength) return null;
  if (rawLength >= OUTPUT_BYTES_MIN) return output;
  // Copied, as the small ones are kept longest and would hold a large buffer each.
  const raw = Buffer.from(output);
  giveBack(output);
  return raw;
}

/** ZSTD_COMPRESSBOUND of zstd.h, and a few bytes. */
function compressedBytesMax(rawLength: number): number {
  const small = rawLength < 131_072 ? (131_072 - rawLength) >>> 11 : 0;
  return rawLength + (rawLength >>> 8) + small + 64;
}
