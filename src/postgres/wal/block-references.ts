import { HoldfastError } from '../../lib/index.ts';
import { BLOCK_ID_MAX, FORK_HAS_IMAGE, FORK_SAME_RELATION, hasHoleLength, RECORD_HEADER_BYTES } from './record.ts';

/** The forks of a relation by their numbers in WAL and in the names of files. */
export const Fork = { main: 0, freeSpaceMap: 1, visibilityMap: 2, init: 3 } as const;

/** Is told of each block that a record changes. The numbers are those in the paths of files; `block` counts from the fork's start. */
export interface BlockVisitor {
  visitBlock(tablespaceOid: number, databaseOid: number, relationNumber: number, fork: number, block: number): void;
}

const FORK_MASK = 0x0f;
/** id, fork and flags, length of the data. */
const BLOCK_HEADER_BYTES = 4;
const RELATION_BYTES = 12;
const BLOCK_NUMBER_BYTES = 4;

/**
 * Tells the visitor of every block that a record names, in its order. The record begins at `from`; of its bytes those before `to` are there, which
 * may be fewer than it has. False when they end before all block headers were read.
 *
 * Nothing is allocated, as this is done for every record of the WAL that comes in.
 *
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, xlogreader.c, DecodeXLogRecord; walsummarizer.c, which takes the same for changed.
 */
export function visitBlocks(
  bytes: Buffer,
  place: { from: number; to: number; major: number | undefined },
  visitor: BlockVisitor,
): boolean {
  return visitBlocksOf(bytes, place.from, place.to, place.major, visitor);
}

/** The same with its arguments one by one, for whoever calls it for every record. */
export function visitBlocksOf(
  bytes: Buffer,
  from: number,
  to: number,
  major: number | undefined,
  visitor: BlockVisitor,
): boolean {
  if (to - from < RECORD_HEADER_BYTES) return false;
  const end = from + uint32(bytes, from);
  let at = from + RECORD_HEADER_BYTES;
  let dataBytes = 0;
  let tablespaceOid = -1;
  let databaseOid = 0;
  let relationNumber = 0;
  // The headers end where what is left is exactly the data that they announced, or with the first that is of no block.
  while (end - at > dataBytes) {
    if (at >= to) return false;
    if ((bytes[at] as number) > BLOCK_ID_MAX) return true;
    if (at + BLOCK_HEADER_BYTES > to) return cut(end, to);
    const flags = bytes[at + 1] as number;
    dataBytes += uint16(bytes, at + 2);
    at += BLOCK_HEADER_BYTES;
    if ((flags & FORK_HAS_IMAGE) !== 0) {
      if (at + 5 > to) return cut(end, to);
      dataBytes += uint16(bytes, at);
      at += hasHoleLength(bytes[at + 4] as number, major) ? 7 : 5;
    }
    const isNamed = (flags & FORK_SAME_RELATION) === 0;
    if (at + (isNamed ? RELATION_BYTES : 0) + BLOCK_NUMBER_BYTES > to) return cut(end, to);
    if (isNamed) {
      tablespaceOid = uint32(bytes, at);
      databaseOid = uint32(bytes, at + 4);
      relationNumber = uint32(bytes, at + 8);
      at += RELATION_BYTES;
    } else if (tablespaceOid === -1) throw invalid('Its first block names no relation.');
    visitor.visitBlock(tablespaceOid, databaseOid, relationNumber, flags & FORK_MASK, uint32(bytes, at));
    at += BLOCK_NUMBER_BYTES;
  }
  return true;
}

/** As the methods of `Buffer`, whose checks cost more than the rest; the caller has checked that the bytes are there. */
function uint16(bytes: Buffer, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function uint32(bytes: Buffer, at: number): number {
  return (uint16(bytes, at) | (uint16(bytes, at + 2) << 16)) >>> 0;
}

/** Of a record that is all there, nothing may be missing. */
function cut(end: number, to: number): false {
  if (to >= end) throw invalid('Its headers run past its end.');
  return false;
}

function invalid(detail: string): HoldfastError {
  return new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', { detail });
}
