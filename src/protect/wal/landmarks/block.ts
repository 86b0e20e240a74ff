import { ByteReader, ByteWriter } from '../../../lib/index.ts';
import type { UnfinishedRecord } from '../../../postgres/index.ts';
import type { WalLandmark } from '../landmark.ts';
import { decodeLandmarks } from './landmark-columns.ts';
import { unrecognized } from './unrecognized.ts';

/** What of the record is kept that begins in a segment and ends behind it. */
export type SegmentTail =
  /** The segment ends between two records. */
  | { readonly kind: 'none' }
  /** It cannot be a landmark. */
  | { readonly kind: 'indifferent'; readonly lsn: bigint }
  /** It may be one: the bytes that are there, so that the next segment can be read on its own. */
  | { readonly kind: 'kept'; readonly lsn: bigint; readonly bytes: Buffer }
  /** It may be one, and is too long to be kept; the LSN is 0 when it began in a segment that nobody saw. */
  | { readonly kind: 'dropped'; readonly lsn: bigint };

/**
 * The landmarks of one segment: of every record that ends in it, also when it began in the one before. In their order.
 *
 * Together with the tail of the segment before that is everything, so that a segment can be indexed as soon as it is whole.
 */
export interface SegmentBlock {
  /** Counted from LSN 0. */
  readonly number: bigint;
  readonly timeline: number;
  /** Where the first record begins that begins in the segment; null when none does. */
  readonly firstRecordLsn: bigint | null;
  /** False when a record ends in the segment whose beginning was not seen: it may be a landmark that is missing here. */
  readonly isHeadKnown: boolean;
  readonly tail: SegmentTail;
  /** The next transaction's number with its epoch, as the last checkpoint up to the segment's end says; null when none was seen. */
  readonly nextXid: bigint | null;
  readonly landmarks: readonly WalLandmark[];
}

const VERSION = 1;
/** How many segments one object has at most. */
export const BLOCKS_MAX = 16;

const HEAD_KNOWN = 1;
const TAIL_KINDS = ['none', 'indifferent', 'kept', 'dropped'] as const;

/** Shape: u8 version 1 · u8 blocks (1 to 16) · u16 zero · for each: u32 length · block. */
export function encodeBlocks(blocks: readonly Buffer[]): Buffer {
  const writer = new ByteWriter(4096).u8(VERSION).u8(blocks.length).u16(0);
  for (const block of blocks) writer.u32(block.length).bytes(block);
  return writer.finish();
}

/** The encoded blocks of an object. Errors: WAL_LANDMARKS_UNRECOGNIZED; BYTES_TRUNCATED, BYTES_TRAILING. */
export function splitBlocks(body: Buffer): Buffer[] {
  const reader = new ByteReader(body);
  const version = reader.u8();
  if (version !== VERSION) throw unrecognized(version);
  const count = reader.u8();
  reader.u16();
  const blocks = Array.from({ length: count }, () => reader.bytes(reader.u32()));
  reader.end();
  return blocks;
}

/** A block with its landmarks as they are stored. */
export type EncodedBlock = Omit<SegmentBlock, 'landmarks'> & {
  /** As `LandmarkColumns` wrote them. */
  readonly columns: Buffer;
};

/**
 * Shape:  u64 segment number · u32 timeline · u8 flags (1: head known) · u8 tail (0 none, 1 indifferent, 2 kept, 3 dropped) · u16 zero ·
 *         u64 LSN of the first record (0: none) · u64 LSN of the tail · u64 next xid with epoch (0: not known) · u32 length · bytes of the tail ·
 *         landmarks.
 */
export function encodeBlock(block: EncodedBlock): Buffer {
  const { tail } = block;
  const kept = tail.kind === 'kept' ? tail.bytes : Buffer.alloc(0);
  return new ByteWriter(1024 + kept.length)
    .u64(block.number)
    .u32(block.timeline)
    .u8(block.isHeadKnown ? HEAD_KNOWN : 0)
    .u8(TAIL_KINDS.indexOf(tail.kind))
    .u16(0)
    .u64(block.firstRecordLsn ?? 0n)
    .u64(tail.kind === 'none' ? 0n : tail.lsn)
    .u64(block.nextXid ?? 0n)
    .u32(kept.length)
    .bytes(kept)
    .bytes(block.columns)
    .finish();
}

/** Reads what `encodeBlock` wrote. Errors: WAL_LANDMARKS_UNRECOGNIZED; BYTES_TRUNCATED, BYTES_TRAILING. */
export function decodeBlock(bytes: Buffer, segmentBytes: number): SegmentBlock {
  const reader = new ByteReader(bytes);
  const number = reader.u64();
  const timeline = reader.u32();
  const flags = reader.u8();
  const kind = TAIL_KINDS[reader.u8()];
  reader.u16();
  const firstRecord = reader.u64();
  const tailLsn = reader.u64();
  const nextXid = reader.u64();
  const kept = reader.bytes(reader.u32());
  if (kind === undefined) throw unrecognized('another tail');
  const landmarks = decodeLandmarks(reader.bytes(reader.remaining), number * BigInt(segmentBytes), segmentBytes);
  return {
    number,
    timeline,
    firstRecordLsn: firstRecord === 0n ? null : firstRecord,
    isHeadKnown: (flags & HEAD_KNOWN) !== 0,
    tail: kind === 'none' ? { kind } : kind === 'kept' ? { kind, lsn: tailLsn, bytes: kept } : { kind, lsn: tailLsn },
    nextXid: nextXid === 0n ? null : nextXid,
    landmarks,
  };
}

/** The record that goes on in the next segment, as a scanner takes it; null when it is not there or not needed. */
export function carriedBy(block: SegmentBlock): UnfinishedRecord | null {
  return block.tail.kind === 'kept' ? { lsn: block.tail.lsn, bytes: block.tail.bytes } : null;
}
