/**
 * The write-ahead log in the repository: brought in as it is written, and given back to whoever recovers.
 *
 * Nouns: a *lineage* is one unforked history of a cluster's WAL; a *fragment* is WAL of one timeline inside one segment, stored before the
 * segment is whole; the *inventory* is what a listing shows; a *path* is the way through the timelines to one of them; a *landmark* is a record
 * that a restore can aim at; the *receiver* streams WAL from a server.
 *
 * It decides what WAL is stored and what it means, not where a restore goes or how long WAL is kept. The format is in `docs/design.md` 8.
 */

export {
  type ChangeSet,
  type ForkChanges,
  type ForkName,
  firstAtOrAbove,
  forkKey,
  type ReadChangeSet,
  RecordChanges,
  readChangeSet,
} from './changes/index.ts';
export {
  contiguousEnd,
  contiguousEndIn,
  currentLineage,
  describeContinuity,
  findContenders,
  type LineageContinuity,
} from './continuity.ts';
export type { ToldAlarm, WalAlarm, WalEvent, WalProgress } from './events.ts';
export { fetchWalFile, WAL_FETCH_EXIT, type WalFetchOptions, type WalFetchResult } from './fetch.ts';
export { findCommit, findTransaction, type HistoryRange, type TransactionMention } from './find-commit.ts';
export { noteFollowed, readFollowed } from './followed-lineage.ts';
export { costOfGap, describeGapCost, type GapCost } from './gap-cost.ts';
export {
  findLineage,
  type LineageInventory,
  makeTimelineInventory,
  readWalInventory,
  type StoredFragment,
  type StoredSegment,
  type TimelineInventory,
  type WalInventory,
} from './inventory.ts';
export type { TransactionLandmark, WalLandmark } from './landmark.ts';
export {
  fullXidNear,
  type LandmarkQuestion,
  type LandmarkRange,
  LandmarkReader,
  type LandmarkSummary,
  type SummaryDecision,
} from './landmarks/index.ts';
export { findLastCommit } from './last-commit.ts';
export { type LastRecord, lastRecord } from './last-record.ts';
export type { ForkReason, LineageHeader, LineageParent } from './lineage.ts';
export type { LsnRange } from './lsn-ranges.ts';
export { type MadeIndex, type MakeIndexOptions, makeIndex } from './make-index.ts';
export { endOfWal, listNeededWal, listNeededWalInPlace } from './needed-objects.ts';
export { historyObjectName, type LineagePlace, lineagePrefix, segmentObjectName } from './object-names.ts';
export { readPushStatuses, type StoredPushStatus } from './push-status.ts';
export {
  listRecoveryFiles,
  type RecoveryFile,
  readSegment,
  type SegmentContent,
  type SegmentReference,
} from './read-segment.ts';
export {
  AwaitedLsn,
  describeGrowth,
  FLUSH_INTERVAL_MS_DEFAULT,
  findInSynchronousNames,
  type JudgedSpace,
  judgeOfSpool,
  type ReceiverOutage,
  type ReceiverState,
  receiveWal,
  serverSideName,
  type WalReceiverOptions,
  type WalReceiverResult,
} from './receiver/index.ts';
export {
  findRunningReceiver,
  knownUntilOf,
  type ReceiverStatus,
  readKnownUntil,
  readReceiverStatuses,
  readStreamedLineage,
  STATUS_FRESH_MS,
  type StoredReceiverStatus,
  streamedLineageOf,
} from './receiver-status.ts';
export { replaceSegment } from './replace-segment.ts';
export { resolveTime, type TimeQuestion, type TimeResolution } from './resolve-time.ts';
export {
  isEndOfInput,
  scanRecords,
  scanWal,
  type WalRange,
} from './scan.ts';
export { putTwice, readHistoryFile, secondCopyName } from './second-copy.ts';
export { findReach, type SnapshotReach } from './snapshot-reach.ts';
export { fragmentObject, isWalDamage, readWalObject, StoredWal, type WalObject } from './stored-wal.ts';
export { newestTimeline, pathInLineage, storedOnPath, stretchAt, type TimelineStretch } from './timeline-path.ts';
