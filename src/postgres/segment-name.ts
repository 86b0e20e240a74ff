import { HoldfastError } from '../lib/index.ts';

/** The size of a WAL segment unless `initdb --wal-segsize` said otherwise. */
export const WAL_SEGMENT_BYTES_DEFAULT = 16 * 1024 * 1024;

const WAL_SEGMENT_BYTES_MIN = 1024 * 1024;
const WAL_SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;
const TIMELINE_MAX = 0xffffffff;
const LSN_SPACE = 1n << 64n;

const SEGMENT_NAME = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/;
const HISTORY_NAME = /^([0-9A-F]{8})\.history$/;
const BACKUP_HISTORY_NAME = /^([0-9A-F]{24})\.([0-9A-F]{8})\.backup$/;

/** A WAL segment by what it holds, instead of by its name. `number` counts segments from LSN 0. */
export interface WalSegment {
  readonly timeline: number;
  readonly number: bigint;
  readonly startLsn: bigint;
}

/** Every kind of file that PostgreSQL keeps in, or asks for beside, its WAL. */
export type WalFile =
  | { readonly kind: 'segment'; readonly segment: WalSegment }
  | { readonly kind: 'partial-segment'; readonly segment: WalSegment }
  | { readonly kind: 'timeline-history'; readonly timeline: number }
  | { readonly kind: 'backup-history'; readonly segment: WalSegment; readonly startLsn: bigint };

/**
 * Refuses what cannot be the size of a WAL segment: PostgreSQL knows powers of two from 1 MiB to 1 GiB.
 * Errors: PG_WAL_SEGMENT_SIZE_INVALID.
 */
export function checkSegmentSize(segmentBytes: number): void {
  const isPowerOfTwo = Number.isInteger(segmentBytes) && Number.isInteger(Math.log2(segmentBytes));
  if (!isPowerOfTwo || segmentBytes < WAL_SEGMENT_BYTES_MIN || segmentBytes > WAL_SEGMENT_BYTES_MAX) {
    throw new HoldfastError('PG_WAL_SEGMENT_SIZE_INVALID', `invalid WAL segment size ${segmentBytes}`, {
      detail: 'Expected a power of two between 1 MiB and 1 GiB.',
    });
  }
}

/** The number, counted from LSN 0, of the segment that holds the byte at `lsn`. */
export function segmentNumberOf(lsn: bigint, segmentBytes: number): bigint {
  return lsn / BigInt(segmentBytes);
}

/** The LSN of the first byte of the segment that holds the byte at `lsn`. */
export function segmentStartOf(lsn: bigint, segmentBytes: number): bigint {
  return lsn - (lsn % BigInt(segmentBytes));
}

/** How many bytes of its segment lie before `lsn`. */
export function segmentOffsetOf(lsn: bigint, segmentBytes: number): number {
  return Number(lsn % BigInt(segmentBytes));
}

/**
 * The name of a WAL segment.
 *
 * Shape:  24 upper-case hexadecimal digits: timeline · segment number div N · segment number mod N, with N = 4 GiB / size.
 * Errors: PG_WAL_SEGMENT_SIZE_INVALID, PG_WAL_NAME_INVALID when the timeline or the number is out of range.
 * Source: PostgreSQL, xlog_internal.h, XLogFileName.
 */
export function formatSegmentName(timeline: number, number: bigint, segmentBytes: number): string {
  checkSegmentSize(segmentBytes);
  const lsn = number * BigInt(segmentBytes);
  if (number < 0n || lsn >= LSN_SPACE) throw invalidWalName(`${number}`, 'The segment number is out of range.');
  const perUpperNumber = 0x100000000n / BigInt(segmentBytes);
  return formatTimeline(timeline) + hexadecimal8(number / perUpperNumber) + hexadecimal8(number % perUpperNumber);
}

/** The name of the segment of `timeline` that holds the byte at `lsn`. */
export function segmentNameAt(timeline: number, lsn: bigint, segmentBytes: number): string {
  return formatSegmentName(timeline, segmentNumberOf(lsn, segmentBytes), segmentBytes);
}

/** The inverse of `formatSegmentName`. Errors: PG_WAL_NAME_INVALID, PG_WAL_SEGMENT_SIZE_INVALID. */
export function parseSegmentName(name: string, segmentBytes: number): WalSegment {
  checkSegmentSize(segmentBytes);
  const match = SEGMENT_NAME.exec(name);
  if (match === null) throw invalidWalName(name, 'Expected 24 upper-case hexadecimal digits.');
  const timeline = Number.parseInt(match[1] as string, 16);
  if (timeline === 0) throw invalidWalName(name, 'Timelines are numbered from 1.');
  const perUpperNumber = 0x100000000n / BigInt(segmentBytes);
  const lower = BigInt(`0x${match[3]}`);
  if (lower >= perUpperNumber) {
    throw invalidWalName(
      name,
      `With segments of ${segmentBytes} bytes the last eight digits stay below ${perUpperNumber}.`,
    );
  }
  const number = BigInt(`0x${match[2]}`) * perUpperNumber + lower;
  return { timeline, number, startLsn: number * BigInt(segmentBytes) };
}

/** The name of the file that tells where `timeline` forked off: 'TTTTTTTT.history'. */
export function formatHistoryName(timeline: number): string {
  return `${formatTimeline(timeline)}.history`;
}

/**
 * Tells what a file name in `pg_wal`, or one that a `restore_command` is asked for, stands for.
 * Errors: PG_WAL_NAME_INVALID for any other name.
 */
export function parseWalFileName(name: string, segmentBytes: number): WalFile {
  const history = HISTORY_NAME.exec(name);
  if (history !== null) {
    const timeline = Number.parseInt(history[1] as string, 16);
    if (timeline === 0) throw invalidWalName(name, 'Timelines are numbered from 1.');
    return { kind: 'timeline-history', timeline };
  }
  const backup = BACKUP_HISTORY_NAME.exec(name);
  if (backup !== null) {
    const segment = parseSegmentName(backup[1] as string, segmentBytes);
    const offset = Number.parseInt(backup[2] as string, 16);
    if (offset >= segmentBytes)
      throw invalidWalName(name, `The offset lies outside a segment of ${segmentBytes} bytes.`);
    return { kind: 'backup-history', segment, startLsn: segment.startLsn + BigInt(offset) };
  }
  if (name.endsWith('.partial')) {
    return { kind: 'partial-segment', segment: parseSegmentName(name.slice(0, -'.partial'.length), segmentBytes) };
  }
  return { kind: 'segment', segment: parseSegmentName(name, segmentBytes) };
}

function formatTimeline(timeline: number): string {
  if (!Number.isInteger(timeline) || timeline < 1 || timeline > TIMELINE_MAX) {
    throw invalidWalName(`${timeline}`, `Expected a timeline between 1 and ${TIMELINE_MAX}.`);
  }
  return hexadecimal8(timeline);
}

function hexadecimal8(value: number | bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

function invalidWalName(name: string, detail: string): HoldfastError {
  return new HoldfastError('PG_WAL_NAME_INVALID', `invalid WAL file name "${name}"`, { detail });
}
