import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/** The polynomial of CRC-32C (Castagnoli), bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** From this length on the native function, with the processor's instruction, wins over the price of calling it. */
const NATIVE_BYTES_MIN = 256;

/** Table k, at 256 · k, tells what a byte does to the CRC when k more bytes follow it ("slicing by eight"). */
const TABLES = makeTables();

/**
 * CRC-32C of `bytes[from, to)`, continued from `seed` when there were bytes before.
 *
 * Most WAL records are so short that a call into native code costs more than its work.
 */
export function crc32c(bytes: Buffer, from: number, to: number, seed = 0): number {
  if (to - from >= NATIVE_BYTES_MIN) return nativeCrc32c(bytes.subarray(from, to), seed);
  let crc = ~seed;
  let at = from;
  for (const last = to - 8; at <= last; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      TABLES[1792 + (low & 255)]! ^
      TABLES[1536 + ((low >>> 8) & 255)]! ^
      TABLES[1280 + ((low >>> 16) & 255)]! ^
      TABLES[1024 + (low >>> 24)]! ^
      TABLES[768 + bytes[at + 4]!]! ^
      TABLES[512 + bytes[at + 5]!]! ^
      TABLES[256 + bytes[at + 6]!]! ^
      TABLES[bytes[at + 7]!]!;
  }
  for (; at < to; at++) crc = TABLES[(crc ^ bytes[at]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** What the CRC of anything followed by its own CRC, the lowest byte first, comes to. */
const RESIDUE = 0x48674bc7;

/**
 * True when each of the messages that lie in `bytes` one behind the other ends in its own CRC. Their first four bytes are combined with `CHAIN_MARK`
 * by exclusive or.
 *
 * A message that is right leaves the CRC's register as it found it, and the mark makes up for a register that does not begin as a message's does: so
 * one pass at the speed of the processor's instruction checks them all. What is wrong in one message changes the register for good, as each step
 * of a CRC can be undone; only a second error can hide it, with the odds that any error has against a CRC of 32 bits.
 */
export function isChainOfCrcs(bytes: Uint8Array): boolean {
  return nativeCrc32c(bytes, RESIDUE) === RESIDUE;
}

export const CHAIN_MARK = RESIDUE;

function makeTables(): Int32Array {
  const tables = new Int32Array(256 * 8);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256]!;
    tables[at] = (before >>> 8) ^ tables[before & 255]!;
  }
  return tables;
}
