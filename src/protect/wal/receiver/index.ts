/**
 * The WAL receiver: brings WAL from a server into the repository as it is written.
 *
 * Nouns: a *receiver* follows one server under one slot, through reconnects, promotions and forks; its *link* is the connection with what the
 * server said of itself; a *reception* is one run of arriving WAL on one timeline; the *watch* asks the server whether commits wait for us.
 * What it does is drawn in `state-machine.ts` and told in `docs/wal-receiver.md`. It does not read WAL for anybody else, and deletes nothing
 * but fragments whose segment is stored.
 */
// What every way in for WAL does alike, over a connection or from files.
export { forkAlarm } from './alarms.ts';
export { AwaitedLsn } from './awaited-lsn.ts';
export { judgeOfSpool } from './compare-spool.ts';
export { type ComparedObject, Comparison, type Divergence } from './comparison.ts';
export { FORK_PROOF_BYTES } from './find-fork.ts';
export { deleteFragments, joinSegment } from './join-segment.ts';
export {
  createLineage,
  findOtherSystem,
  holdsRecordBehind,
  type LineageBeginning,
  openLineage,
} from './lineage-keeper.ts';
export { FLUSH_INTERVAL_MS_DEFAULT, type WalReceiverOptions, type WalReceiverResult } from './options.ts';
export { primaryBack, type ReceiverOutage, spoolDiffers } from './outage-keeper.ts';
export { outageUnsafe } from './prepare-in-outage.ts';
export { receiveWal } from './receive-wal.ts';
export { compareHistories, type DivergedPlan, type ResumeFacts } from './resume-plan.ts';
export { SegmentChecker } from './segment-checker.ts';
export { serverSideName } from './server-side-name.ts';
export { describeGrowth, type JudgedSpace } from './space-judge.ts';
export type { ReceiverState } from './state-machine.ts';
export { storedObjectsFrom } from './stored-objects.ts';
export { findInSynchronousNames, type SynchronousMention } from './synchronous-names.ts';
