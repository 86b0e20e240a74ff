import { HoldfastError } from '../../lib/index.ts';
import type { BlockVisitor } from './block-references.ts';

/** Resource managers whose records this package looks into, by the number that stands in a record. */
export const ResourceManager = {
  xlog: 0,
  transaction: 1,
  storage: 2,
  database: 4,
  tablespace: 5,
  relationMap: 7,
  standby: 8,
  heap2: 9,
  heap: 10,
  logicalMessage: 21,
} as const;

/** The highest number of a resource manager of the server itself, and the lowest of an extension. */
export const RESOURCE_MANAGER_BUILT_IN_MAX = 21;
export const RESOURCE_MANAGER_CUSTOM_MIN = 128;

/** Every record begins with so many bytes, of which the CRC is the last field. */
export const RECORD_HEADER_BYTES = 24;
export const CRC_OFFSET = 20;

/** The lower bits of a record's `info` are flags; `INFO_SWITCH` and `INFO_OVERWRITE` are XLOG_SWITCH and XLOG_OVERWRITE_CONTRECORD of the manager `xlog`. */
export const INFO_MASK = 0xf0;
export const INFO_SWITCH = 0x40;
export const INFO_OVERWRITE = 0xd0;

/** The largest record that the server accepts (XLogRecordMaxSize). */
export const RECORD_BYTES_MAX = 1020 * 1024 * 1024;

export const BLOCK_ID_MAX = 32;
const ID_DATA_SHORT = 255;
const ID_DATA_LONG = 254;
const ID_ORIGIN = 253;
const ID_TOP_LEVEL_XID = 252;
/** Flags of a block's header, beside the number of the fork. */
export const FORK_HAS_IMAGE = 0x10;
export const FORK_SAME_RELATION = 0x80;
const IMAGE_HAS_HOLE = 0x01;

/** What about the block images changed with version 15: the flags for compression. */
const IMAGE_COMPRESSED_14 = 0x02;
const IMAGE_COMPRESSED_15 = 0x04 | 0x08 | 0x10;

/** A whole and checked record. Good only until the scanner is asked for the next one. */
export interface WalRecord {
  /** Where the record begins. */
  readonly lsn: bigint;
  /** The same as a number, counted as `WalScanner.offsetOf` counts: for those who look at every record. */
  readonly offset: number;
  /** Where the next record may begin: behind the record, rounded up to 8 bytes; behind a switch, the next segment. */
  readonly endLsn: bigint;
  /** Where the record before begins, as this one says. */
  readonly previousLsn: bigint;
  /** From its first byte to its last, the page headers between them included: what has to be stored for it to be read. */
  readonly span: number;
  /** The timeline of the page on which the record begins; 0 when the scan began in the middle of that page. */
  readonly timeline: number;
  /** See `ResourceManager`. */
  readonly resourceManager: number;
  /** The kind of record in the upper four bits, as its resource manager has it. */
  readonly info: number;
  /** The transaction, 0 when there is none. */
  readonly xid: number;
  /** Header included. */
  readonly totalLength: number;
  /** The major version by the WAL page's magic; undefined when the scan began in the middle of a page and met no other yet. */
  readonly major: number | undefined;
  /** The whole record with its header, without the page headers that may lie between. */
  readonly bytes: Buffer;
  /** The resource manager's own data, as a view. Errors: PG_WAL_RECORD_INVALID. */
  mainData(): Buffer;
  /** Tells of every block that the record changes, without the cost of looking at `bytes`. Errors: PG_WAL_RECORD_INVALID. */
  visitBlocks(visitor: BlockVisitor): void;
}

/**
 * Finds the resource manager's own data in a record: it comes last, behind the data of all blocks.
 *
 * Shape:  header of 24 bytes · for each block: id, fork and flags, uint16 data length, perhaps the head of an image, perhaps
 *         the relation (12 bytes), block number · perhaps origin (253), top-level xid (252) · 255 with uint8 or 254 with uint32
 *         length of the main data · images and data of the blocks · main data.
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, xlogrecord.h; xlogreader.c, DecodeXLogRecord.
 */
export function findMainData(record: Buffer, major: number | undefined): Buffer {
  let at = RECORD_HEADER_BYTES;
  let dataBytes = 0;
  let mainBytes = 0;
  const need = (bytes: number) => {
    if (at + bytes > record.length) throw invalid('Its headers run past its end.');
  };
  // The headers of the blocks end where what is left is exactly the data that they announced.
  while (record.length - at > dataBytes) {
    need(2);
    const id = record[at] as number;
    if (id === ID_DATA_SHORT) {
      mainBytes = record[at + 1] as number;
      at += 2;
      dataBytes += mainBytes;
      break;
    }
    if (id === ID_DATA_LONG) {
      need(5);
      mainBytes = record.readUInt32LE(at + 1);
      at += 5;
      dataBytes += mainBytes;
      break;
    }
    if (id === ID_ORIGIN) at += 3;
    else if (id === ID_TOP_LEVEL_XID) at += 5;
    else if (id <= BLOCK_ID_MAX) {
      need(4);
      const flags = record[at + 1] as number;
      dataBytes += record.readUInt16LE(at + 2);
      at += 4;
      if ((flags & FORK_HAS_IMAGE) !== 0) {
        need(5);
        const imageFlags = record[at + 4] as number;
        dataBytes += record.readUInt16LE(at);
        at += hasHoleLength(imageFlags, major) ? 7 : 5;
      }
      at += (flags & FORK_SAME_RELATION) === 0 ? 16 : 4;
    } else throw invalid(`The block id ${id} is not recognized.`);
  }
  if (record.length - at !== dataBytes) throw invalid('Its parts do not add up to its length.');
  return record.subarray(record.length - mainBytes);
}

/** Whether the head of an image names the length of the page's hole: only where compression hides it. `flags` are the image's. */
export function hasHoleLength(flags: number, major: number | undefined): boolean {
  const compressed = major === 14 ? IMAGE_COMPRESSED_14 : IMAGE_COMPRESSED_15;
  return (flags & IMAGE_HAS_HOLE) !== 0 && (flags & compressed) !== 0;
}

function invalid(detail: string): HoldfastError {
  return new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', { detail });
}
