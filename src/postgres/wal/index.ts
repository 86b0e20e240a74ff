/**
 * What is written in the WAL, read from its bytes.
 *
 * Nouns: a *page* is 8 KiB with a header; a *record* is one change, and may reach over pages and segments; a *resource manager*
 * is the part of the server that a record belongs to; the *scanner* reads records from a stream of bytes and stops, with the
 * reason, at the first one that is not whole.
 * It knows no files and no sockets, and it does not replay anything.
 *
 * Source: PostgreSQL, xlogreader.c, xlog_internal.h, xlogrecord.h.
 */
export { type BlockLimit, blockLimitsOf } from './block-limit.ts';
export { type BlockVisitor, Fork, visitBlocks } from './block-references.ts';
export { crc32c } from './crc32c.ts';
export {
  parseWalPageHeader,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER_LONG_BYTES,
  type WalPageHeader,
  walMajorOf,
} from './page-header.ts';
export { type PreparedTransaction, parsePreparedTransaction } from './prepared-transaction.ts';
export { ResourceManager, type WalRecord } from './record.ts';
export { type UnfinishedRecord, WalScanner, type WalScannerOptions } from './scanner.ts';
export { parseStorageEvent, type StorageEvent } from './storage-event.ts';
export { isOfExtension, parseTablespaceCreation, type TablespaceCreation } from './tablespace-record.ts';
export {
  type InvalidatedRelation,
  parseTransactionEnd,
  type RelationFile,
  type TransactionEnd,
} from './transaction.ts';
export type { WalStop, WalStopReason } from './wal-stop.ts';
export { parseXlogEvent, type RequiredSettings, type XlogEvent } from './xlog-event.ts';
