/** WAL is laid out in pages of this size; other sizes exist only in servers compiled for them. */
export const WAL_PAGE_BYTES = 8192;

/** Every page begins with so many bytes of header; the first page of a segment with the longer one. */
export const WAL_PAGE_HEADER_BYTES = 24;
export const WAL_PAGE_HEADER_LONG_BYTES = 40;

const FIRST_IS_CONTINUATION = 1;
const LONG_HEADER = 2;
const FIRST_IS_OVERWRITE_CONTINUATION = 8;
const ALL_FLAGS = 15;

/** The magic number of each major version. */
const MAGIC: ReadonlyMap<number, number> = new Map([
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
]);

/** The head of a WAL page. `segment` only in the long form. */
export interface WalPageHeader {
  readonly magic: number;
  /** The page begins with the rest of a record of the page before. */
  readonly isContinuation: boolean;
  /** A record that was begun before a crash has no rest; what follows is written in its place. */
  readonly overwritesContinuation: boolean;
  readonly isLong: boolean;
  readonly hasUnrecognizedFlags: boolean;
  readonly timeline: number;
  readonly lsn: bigint;
  /** Bytes of the record begun before that are still to come, on this page and on later ones. */
  readonly remainingBytes: number;
  readonly segment: { readonly systemId: string; readonly segmentSize: number; readonly walBlockSize: number } | null;
}

/** The major version that writes WAL with this magic number; undefined when it is not one of 14 to 18. */
export function walMajorOf(magic: number): number | undefined {
  return MAGIC.get(magic);
}

/** How long a page header is, told by its flags in the first four bytes. */
export function pageHeaderLength(header: Buffer): number {
  return (header.readUInt16LE(2) & LONG_HEADER) === 0 ? WAL_PAGE_HEADER_BYTES : WAL_PAGE_HEADER_LONG_BYTES;
}

/**
 * Reads a page header; whether it is the right one is the caller's to judge.
 *
 * Shape:  uint16 magic · uint16 flags · uint32 timeline · uint64 LSN of the page · uint32 bytes remaining · 4 bytes padding ·
 *         in the long form: uint64 system id · uint32 segment size · uint32 page size. Little-endian. At least 24 bytes, 40 in
 *         the long form.
 * Source: PostgreSQL, xlog_internal.h, XLogPageHeaderData and XLogLongPageHeaderData.
 */
export function parseWalPageHeader(bytes: Buffer, at = 0): WalPageHeader {
  const flags = bytes.readUInt16LE(at + 2);
  const isLong = (flags & LONG_HEADER) !== 0;
  return {
    magic: bytes.readUInt16LE(at),
    isContinuation: (flags & FIRST_IS_CONTINUATION) !== 0,
    overwritesContinuation: (flags & FIRST_IS_OVERWRITE_CONTINUATION) !== 0,
    isLong,
    hasUnrecognizedFlags: (flags & ~ALL_FLAGS) !== 0,
    timeline: bytes.readUInt32LE(at + 4),
    lsn: bytes.readBigUInt64LE(at + 8),
    remainingBytes: bytes.readUInt32LE(at + 16),
    segment: isLong
      ? {
          systemId: bytes.readBigUInt64LE(at + 24).toString(),
          segmentSize: bytes.readUInt32LE(at + 32),
          walBlockSize: bytes.readUInt32LE(at + 36),
        }
      : null,
  };
}
