import { formatLsn } from '../lsn.ts';
import { WAL_PAGE_BYTES, type WalPageHeader, walMajorOf } from './page-header.ts';

/** What the next page of a scan must look like. Undefined where anything goes. */
export interface PageExpectation {
  readonly lsn: bigint;
  readonly segmentSize: number;
  readonly magic: number | undefined;
  /** The timeline of the page before; pages never go back. */
  readonly timelineMin: number;
  readonly timelineMax: number | undefined;
  readonly systemId: string | undefined;
}

/**
 * Tells in a sentence why a page cannot be the next one, or null.
 * Source: PostgreSQL, xlogreader.c, XLogReaderValidatePageHeader.
 */
export function whyNotNextPage(header: WalPageHeader, expected: PageExpectation): string | null {
  const { lsn, magic, timelineMin, timelineMax, systemId, segmentSize } = expected;
  if (magic === undefined ? walMajorOf(header.magic) === undefined : header.magic !== magic) {
    const wanted = magic === undefined ? 'that of PostgreSQL 14 to 18' : hex(magic);
    return `Expected the magic number ${wanted}, found ${hex(header.magic)}.`;
  }
  if (header.hasUnrecognizedFlags) return 'The page has flags that are not recognized.';
  if (header.lsn !== lsn) return `Expected the page of ${formatLsn(lsn)}, found that of ${formatLsn(header.lsn)}.`;
  if (header.isLong !== (lsn % BigInt(segmentSize) === 0n)) {
    return 'The long form of the page header is not where a segment begins.';
  }
  if (header.timeline < timelineMin || header.timeline > (timelineMax ?? header.timeline)) {
    return `Expected timeline ${timelineMin} to ${timelineMax ?? 'any later'}, found ${header.timeline}.`;
  }
  const { segment } = header;
  if (segment === null) return null;
  if (systemId !== undefined && segment.systemId !== systemId) {
    return `Expected WAL of the cluster ${systemId}, found that of ${segment.systemId}.`;
  }
  if (segment.segmentSize !== segmentSize) {
    return `Expected segments of ${segmentSize} bytes, found ${segment.segmentSize}.`;
  }
  if (segment.walBlockSize !== WAL_PAGE_BYTES) {
    return `Expected pages of ${WAL_PAGE_BYTES} bytes, found ${segment.walBlockSize}.`;
  }
  return null;
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase()}`;
}
