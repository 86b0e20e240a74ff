import { BLOCK_BYTES } from './page.ts';

/** What may differ in a page though no WAL says so: by the access method, which is told by what stands at the page's end. */
export type PageKind = 'heap' | 'btree' | 'hash' | 'gist' | 'gin' | 'spgist' | 'brin' | 'sequence' | 'unknown';

/** Fields of a page's header: LSN (8 bytes), checksum, flags, end of line pointers, start of rows, start of the special space, size, oldest xid. */
const FLAGS_AT = 10;
const LOWER_AT = 12;
const UPPER_AT = 14;
const SPECIAL_AT = 16;
const PRUNE_XID_AT = 20;
const HEADER_BYTES = 24;
/** PD_HAS_FREE_LINES, PD_PAGE_FULL and PD_ALL_VISIBLE. */
const HINT_FLAGS = 0x07;

/** A line pointer: offset (15 bits), flags (2 bits), length (15 bits). */
const LINE_POINTER_BYTES = 4;
const LINE_FLAGS_SHIFT = 15;
const LINE_FLAGS_MASK = 0x18000;
const LINE_NORMAL = 1;

/** Fields of a heap row's header, counted from its start. */
const ROW_COMMAND_AT = 8;
const ROW_CTID_AT = 12;
const ROW_CTID_OFFSET_AT = 16;
const ROW_INFOMASK_AT = 20;
/** Where the row's data begin, counted from its start. */
const ROW_DATA_AT = 22;
const ROW_HEADER_BYTES = 23;
/** The last number, how many are logged ahead, whether the last one was given. */
const SEQUENCE_DATA_BYTES = 17;
const XMIN_FROZEN = 0x0300;
const XMAX_COMMITTED_OR_INVALID = 0x0c00;
/** All that concerns transactions: the upper twelve bits. */
const TRANSACTION_BITS = 0xfff0;
const SPECULATIVE_OFFSET = 0xfffe;
const ALIGNMENT = 8;

/** What stands in the last two bytes of a page; a B-tree keeps a number there that is never so high. */
const HASH_ID = 0xff80;
const GIST_ID = 0xff81;
const SPGIST_ID = 0xff82;
const BRIN_META = 0xf091;
const BRIN_REVMAP = 0xf092;
const BRIN_REGULAR = 0xf093;
const SEQUENCE_MAGIC = 0x1717;

/** Flags in the special space of each kind. */
const BTREE_LEAF = 1 << 0;
const BTREE_SPLIT_END_OR_GARBAGE = (1 << 5) | (1 << 6);
const GIN_DELETED = 1 << 2;
const GIST_LEAF = 1 << 0;
const GIST_FOLLOW_RIGHT_OR_GARBAGE = (1 << 3) | (1 << 4);
const HASH_TYPE_MASK = 0x0f;
const HASH_OVERFLOW_OR_BUCKET = 1 | 2;
const HASH_DEAD_TUPLES = 1 << 7;
const BRIN_EVACUATE = 1 << 0;
/** An entry of a range in a map: where its summary lies, as the place of a row; zeros where there is none. */
const RANGE_BYTES = 6;
const NO_RANGE = Buffer.alloc(RANGE_BYTES);
const SPGIST_META = 1 << 0;
/** In the first page of such an index, behind a magic number: eight pages with the room in each. */
const SPGIST_LAST_USED_AT = HEADER_BYTES + 4;
const SPGIST_LAST_USED_END = SPGIST_LAST_USED_AT + 8 * 8;

/** By what access method a page was written; 'unknown' for one that is empty, damaged or of an extension that has a special space of its own. */
export function pageKindOf(page: Buffer): PageKind {
  if (!hasLayout(page)) return 'unknown';
  const special = page.readUInt16LE(SPECIAL_AT);
  const id = page.readUInt16LE(BLOCK_BYTES - 2);
  switch (BLOCK_BYTES - special) {
    case 0:
      return 'heap';
    case 16:
      if (id === HASH_ID) return 'hash';
      return id === GIST_ID ? 'gist' : id < HASH_ID ? 'btree' : 'unknown';
    case 8:
      if (id === SPGIST_ID) return 'spgist';
      if (id === BRIN_META || id === BRIN_REVMAP || id === BRIN_REGULAR) return 'brin';
      if (id === 0 && page.readUInt32LE(special) === SEQUENCE_MAGIC) return 'sequence';
      return id < BRIN_META ? 'gin' : 'unknown';
    default:
      return 'unknown';
  }
}

/**
 * Overwrites in a page what may change without a record in the WAL, so that two pages that say the same are equal: position and checksum, hints in the
 * header and in rows, the hole between line pointers and rows, and what each access method does not log.
 *
 * `block` is the page's number in its fork.
 * Source: PostgreSQL, bufmask.c; heap_mask, btree_mask, hash_mask, gist_mask, gin_mask, spg_mask, brin_mask, seq_mask.
 */
export function maskPage(page: Buffer, block: number): void {
  const kind = pageKindOf(page);
  page.fill(0, 0, FLAGS_AT);
  if (kind === 'unknown') {
    // An extension that uses the generic records of the WAL leaves the hole as it likes; anything else has to be equal.
    if (hasLayout(page)) maskHole(page);
    return;
  }
  if (kind !== 'sequence') {
    page.writeUInt16LE(page.readUInt16LE(FLAGS_AT) & ~HINT_FLAGS, FLAGS_AT);
    page.writeUInt32LE(0, PRUNE_XID_AT);
  }
  maskers[kind](page, block, page.readUInt16LE(SPECIAL_AT));
}

const maskers: Readonly<Record<Exclude<PageKind, 'unknown'>, (page: Buffer, block: number, special: number) => void>> =
  {
    heap: maskHeap,
    sequence: maskHole,
    btree: (page, _, special) => {
      maskHole(page);
      if ((page.readUInt16LE(special + 12) & BTREE_LEAF) !== 0) maskLineFlags(page);
      clear(page, special + 12, BTREE_SPLIT_END_OR_GARBAGE);
      page.writeUInt16LE(0, special + 14);
    },
    hash: (page, _, special) => {
      const type = page.readUInt16LE(special + 12) & HASH_TYPE_MASK;
      maskHole(page);
      if (type === 0) maskContent(page);
      else if ((type & HASH_OVERFLOW_OR_BUCKET) !== 0) maskLineFlags(page);
      clear(page, special + 12, HASH_DEAD_TUPLES);
    },
    gist: (page, _, special) => {
      maskHole(page);
      page.fill(0, special, special + 8);
      if ((page.readUInt16LE(special + 12) & GIST_LEAF) !== 0) maskLineFlags(page);
      clear(page, special + 12, GIST_FOLLOW_RIGHT_OR_GARBAGE);
    },
    gin: (page, _, special) => {
      if ((page.readUInt16LE(special + 6) & GIN_DELETED) !== 0) maskContent(page);
      else if (page.readUInt16LE(LOWER_AT) > HEADER_BYTES) maskHole(page);
    },
    spgist: (page, _, special) => {
      if (page.readUInt16LE(LOWER_AT) > HEADER_BYTES) maskHole(page);
      // Where there was room last is kept in the first page, as a hint (SpGistUpdateMetaPage).
      if ((page.readUInt16LE(special) & SPGIST_META) !== 0) page.fill(0, SPGIST_LAST_USED_AT, SPGIST_LAST_USED_END);
    },
    brin: (page, _, special) => {
      const isRegular = page.readUInt16LE(special + 6) === BRIN_REGULAR;
      if (isRegular || page.readUInt16LE(LOWER_AT) > HEADER_BYTES) maskHole(page);
      clear(page, special + 4, BRIN_EVACUATE);
    },
  };

/**
 * Overwrites in a page of a sequence what replay brings ahead: a record says the number that comes 32 numbers later, so that not every number needs one.
 * Only for pages that were replayed; in two states of a server's own page that no record changed, it is the same.
 *
 * Source: PostgreSQL, sequence.c, nextval_internal and seq_redo.
 */
export function maskSequence(page: Buffer): void {
  if (pageKindOf(page) !== 'sequence') return;
  const row = page.readUInt32LE(HEADER_BYTES) & 0x7fff;
  const data = row + (page[row + ROW_DATA_AT] as number);
  if (data + SEQUENCE_DATA_BYTES <= BLOCK_BYTES) page.fill(0, data, data + SEQUENCE_DATA_BYTES);
}

/**
 * Overwrites in two states of a map of a BRIN index the entries that one of them does not have. Only for pages that were replayed: CREATE DATABASE with the
 * strategy wal_log writes such a page into the WAL as if nothing stood in it, as its header does not say what does. A range without an entry counts as not
 * summarized, so that whoever asks the index reads all of it: no answer becomes wrong.
 *
 * Source: PostgreSQL, bufmgr.c, RelationCopyStorageUsingBuffer; brin_page.h; seen in the WAL of 18.4 (block 1 of an index: an image of 32 bytes).
 */
export function maskLostRanges(one: Buffer, other: Buffer): void {
  if (!isRangeMap(one) || !isRangeMap(other)) return;
  const end = one.readUInt16LE(SPECIAL_AT);
  for (let at = HEADER_BYTES; at + RANGE_BYTES <= end; at += RANGE_BYTES) {
    const entries = [one, other].map((page) => page.subarray(at, at + RANGE_BYTES));
    if (entries.some((entry) => entry.equals(NO_RANGE))) for (const entry of entries) entry.fill(0);
  }
}

function isRangeMap(page: Buffer): boolean {
  return pageKindOf(page) === 'brin' && page.readUInt16LE(BLOCK_BYTES - 2) === BRIN_REVMAP;
}

/** Whether what a header says of the page's parts can be true; not so of a page of zeros. */
function hasLayout(page: Buffer): boolean {
  const lower = page.readUInt16LE(LOWER_AT);
  const upper = page.readUInt16LE(UPPER_AT);
  const special = page.readUInt16LE(SPECIAL_AT);
  return lower >= HEADER_BYTES && lower <= upper && upper <= special && special <= BLOCK_BYTES;
}

function maskHole(page: Buffer): void {
  page.fill(0, page.readUInt16LE(LOWER_AT), page.readUInt16LE(UPPER_AT));
}

/** Of a page that was given up nothing but its header counts. */
function maskContent(page: Buffer): void {
  page.fill(0, LOWER_AT, SPECIAL_AT);
  page.fill(0, HEADER_BYTES);
}

function maskLineFlags(page: Buffer): void {
  const lower = page.readUInt16LE(LOWER_AT);
  for (let at = HEADER_BYTES; at + LINE_POINTER_BYTES <= lower; at += LINE_POINTER_BYTES) {
    page.writeUInt32LE((page.readUInt32LE(at) & ~LINE_FLAGS_MASK) >>> 0, at);
  }
}

function clear(page: Buffer, at: number, bits: number): void {
  page.writeUInt16LE(page.readUInt16LE(at) & ~bits, at);
}

function maskHeap(page: Buffer, block: number): void {
  maskHole(page);
  const lower = page.readUInt16LE(LOWER_AT);
  for (let at = HEADER_BYTES; at + LINE_POINTER_BYTES <= lower; at += LINE_POINTER_BYTES) {
    const pointer = page.readUInt32LE(at);
    const from = pointer & 0x7fff;
    const length = pointer >>> 17;
    if (length === 0 || from + length > BLOCK_BYTES || from < lower) continue;
    const isNormal = (pointer & LINE_FLAGS_MASK) >>> LINE_FLAGS_SHIFT === LINE_NORMAL;
    if (isNormal && length >= ROW_HEADER_BYTES) {
      maskRow(page, from, block, (at - HEADER_BYTES) / LINE_POINTER_BYTES + 1);
    }
    const end = Math.min(Math.ceil(length / ALIGNMENT) * ALIGNMENT, BLOCK_BYTES - from);
    page.fill(0, from + length, from + end);
  }
}

function maskRow(page: Buffer, row: number, block: number, offset: number): void {
  const infomask = page.readUInt16LE(row + ROW_INFOMASK_AT);
  const isFrozen = (infomask & XMIN_FROZEN) === XMIN_FROZEN;
  clear(page, row + ROW_INFOMASK_AT, isFrozen ? XMAX_COMMITTED_OR_INVALID : TRANSACTION_BITS);
  page.writeUInt32LE(0, row + ROW_COMMAND_AT);
  if (page.readUInt16LE(row + ROW_CTID_OFFSET_AT) !== SPECULATIVE_OFFSET) return;
  // Of an insertion that was confirmed later replay sets the row's own place, which the server does without a record.
  page.writeUInt16LE(block >>> 16, row + ROW_CTID_AT);
  page.writeUInt16LE(block & 0xffff, row + ROW_CTID_AT + 2);
  page.writeUInt16LE(offset, row + ROW_CTID_OFFSET_AT);
}
