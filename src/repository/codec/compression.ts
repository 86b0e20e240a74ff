import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { giveBack } from '../../lib/index.ts';

/** Level 1 is written into `format`; it costs the least time per byte saved. */
export const COMPRESSION_LEVEL = 1;

/** Settings of zstd beside the level, by the numbers of its parameters. */
export type CompressionTuning = Readonly<Record<number, number>>;

/**
 * What suits WAL better than what zstd takes by itself at its first level: a table of matches that stays in the processor's nearest cache, and matches
 * of six bytes. A fifth less time, and the result is some hundredths smaller.
 */
export const WAL_TUNING: CompressionTuning = { [constants.ZSTD_c_hashLog]: 12, [constants.ZSTD_c_minMatch]: 6 };

/** Output buffers are never smaller: of this size they have memory of their own, which can be given back at once. */
const OUTPUT_BYTES_MIN = 96 << 10;

/**
 * Compresses with zstd at `level` (1 to 19); `null` when that would not be smaller.
 *
 * An output buffer of the largest possible size and the announced input size spare zlib its growing and joining.
 */
export function compress(raw: Uint8Array, level = COMPRESSION_LEVEL): Buffer | null {
  const output = compressForNow(raw, level);
  if (output === null) return null;
  const compressed = Buffer.from(output);
  giveBack(output);
  return compressed;
}

/** As `compress`, without a last copy: the result holds on to memory for the largest result, and whoever has used it gives it back (`giveBack`). */
export function compressForNow(
  raw: Uint8Array,
  level = COMPRESSION_LEVEL,
  tuning: CompressionTuning = {},
): Buffer | null {
  if (raw.length === 0) return null;
  const output = zstdCompressSync(raw, {
    chunkSize: Math.max(OUTPUT_BYTES_MIN, compressedBytesMax(raw.length)),
    pledgedSrcSize: raw.length,
    params: { ...tuning, [constants.ZSTD_c_compressionLevel]: level },
  });
  if (output.length < raw.length) return output;
  giveBack(output);
  return null;
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
