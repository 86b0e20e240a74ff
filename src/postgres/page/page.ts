import { assert } from '../../lib/index.ts';

/** The only block size that is worked with. */
export const BLOCK_BYTES = 8192;

/** What a data page says of itself. */
export interface PageHeader {
  /** The WAL record of the last change; everything before it must be durable before the page is. */
  readonly lsn: bigint;
  readonly checksum: number;
  readonly flags: number;
  /** End of the line pointers, start of the tuples, start of the special space. */
  readonly lower: number;
  readonly upper: number;
  readonly special: number;
  readonly pageSize: number;
  readonly layoutVersion: number;
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);
const LAYOUT_VERSION = 4;
const HEADER_BYTES = 24;
const CHECKSUM_OFFSET = 8;

/** Lanes that are summed side by side, so that a processor can do them at once. */
const LANES = 32;
/** Source: PostgreSQL, checksum_impl.h, FNV_PRIME. */
export const FNV_PRIME = 16777619;

/** Source: PostgreSQL, checksum_impl.h, checksumBaseOffsets: random numbers that keep the lanes from being exchangeable. */
export const BASE_OFFSETS = Int32Array.of(
  ...[0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c],
  ...[0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb],
  ...[0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4],
  ...[0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756],
);

const sums = new Int32Array(LANES);
const words = new Int32Array(BLOCK_BYTES / 4);
const wordBytes = new Uint8Array(words.buffer);

/**
 * Reads the header of a data page.
 *
 * Shape:  uint32 upper and uint32 lower half of the LSN · uint16 checksum, flags, lower, upper, special, size with layout
 *         version in its low byte · uint32 oldest xid to prune. Little-endian.
 * Source: PostgreSQL, bufpage.h, PageHeaderData.
 */
export function parsePageHeader(page: Buffer): PageHeader {
  assert(page.length >= HEADER_BYTES, 'a page has its header');
  const sizeAndVersion = page.readUInt16LE(18);
  return {
    lsn: (BigInt(page.readUInt32LE(0)) << 32n) | BigInt(page.readUInt32LE(4)),
    checksum: page.readUInt16LE(CHECKSUM_OFFSET),
    flags: page.readUInt16LE(10),
    lower: page.readUInt16LE(12),
    upper: page.readUInt16LE(14),
    special: page.readUInt16LE(16),
    pageSize: sizeAndVersion & 0xff00,
    layoutVersion: sizeAndVersion & 0xff,
  };
}

/** True for a page that was added to a file and never used: all zeros, or no tuple area yet. Such pages have no checksum. */
export function isNewPage(header: PageHeader): boolean {
  return header.upper === 0;
}

/** True when the numbers in the header can be those of a page. Source: bufpage.c, PageIsVerified. */
export function isPageHeaderPlausible(header: PageHeader): boolean {
  const { lower, upper, special, pageSize, layoutVersion } = header;
  return (
    pageSize === BLOCK_BYTES &&
    layoutVersion === LAYOUT_VERSION &&
    lower >= HEADER_BYTES &&
    lower <= upper &&
    upper <= special &&
    special <= BLOCK_BYTES
  );
}

/**
 * Computes PostgreSQL's checksum of a data page; the one stored in it is left out. `blockNumber` counts from the beginning of
 * the relation, over all its segment files, so that a page in another's place is noticed.
 *
 * Source: PostgreSQL, checksum_impl.h, pg_checksum_page: 32 lanes of FNV-1a with a shift, folded to 16 bits.
 */
export function pageChecksum(page: Uint8Array, blockNumber: number): number {
  assert(page.length === BLOCK_BYTES, 'a page has 8192 bytes');
  wordBytes.set(page);
  wordBytes[CHECKSUM_OFFSET] = 0;
  wordBytes[CHECKSUM_OFFSET + 1] = 0;
  sums.set(BASE_OFFSETS);
  for (let at = 0; at < words.length; at += LANES) {
    for (let lane = 0; lane < LANES; lane++) {
      const mixed = sums[lane]! ^ words[at + lane]!;
      sums[lane] = Math.imul(mixed, FNV_PRIME) ^ (mixed >>> 17);
    }
  }
  let result = 0;
  for (let lane = 0; lane < LANES; lane++) {
    let sum = sums[lane]!;
    // Two more rounds of zeros mix the last words as well as the first.
    for (let round = 0; round < 2; round++) sum = Math.imul(sum, FNV_PRIME) ^ (sum >>> 17);
    result ^= sum;
  }
  return (((result ^ blockNumber) >>> 0) % 65535) + 1;
}

/** True when the page is new or its stored checksum is the computed one. */
export function isPageChecksumRight(page: Buffer, blockNumber: number): boolean {
  const header = parsePageHeader(page);
  return isNewPage(header) || header.checksum === pageChecksum(page, blockNumber);
}

/**
 * Whether a page holds nothing that any record has told of: it is all zeros, or it was made ready for rows and never used, which an error between the two
 * leaves behind (source: PostgreSQL, vacuumlazy.c, lazy_scan_new_or_empty). Its checksum is not looked at.
 */
export function isUnusedPage(page: Buffer): boolean {
  if (page.length !== BLOCK_BYTES || ZEROS.compare(page, HEADER_BYTES, BLOCK_BYTES, HEADER_BYTES, BLOCK_BYTES) !== 0) {
    return false;
  }
  if (ZEROS.compare(page, 0, HEADER_BYTES, 0, HEADER_BYTES) === 0) return true;
  const { lsn, lower, upper, special } = parsePageHeader(page);
  return lsn === 0n && lower === HEADER_BYTES && upper === BLOCK_BYTES && special === BLOCK_BYTES;
}
