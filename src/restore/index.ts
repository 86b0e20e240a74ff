/**
 * Data out again: a cluster brought back to a moment, in a place of its own.
 *
 * Nouns. *Target*: the moment asked for. *Proposal*: what a restore would do, concluded from what is stored and shown before it is done. *Route*: one
 * history of the cluster through the stored WAL. *WAL plan*: the exact list of files that exist for the recovery. *Moment*: what committed, or was
 * named, somewhere in the WAL. *Spool*: where the
 * recovering server takes them from. *Marker*: the file that says what a restored directory is.
 *
 * It ends when a server stands recovered and checked, or when a directory is ready for one. It puts nothing into service, changes nothing in the
 * repository but the ledger and records of damage, and removes nothing that it did not make.
 */
export { type ChosenHistory, chooseHistory, type HistoryChoice } from './choose-history.ts';
export { describeProposal } from './describe-proposal.ts';
export { type ListedMoments, listMoments, type MomentQuestion } from './list-moments.ts';
export type { Moment } from './moment.ts';
export { type PreparedRestore, prepareRestore, type RestoreRequest } from './prepare-restore.ts';
export { type CommitFacts, proposeRestore, type RestoreProposal } from './proposal.ts';
export { BLOCK_BEGIN, BLOCK_END } from './recovery-settings.ts';
export { formatRecoveryTarget, parseRecoveryTarget, type RecoveryTarget } from './recovery-target.ts';
export { MARKER_NAME } from './restore-marker.ts';
export { type RestoreOptions, type RestoreResult, runRestore } from './run-restore.ts';
export type { ReachableRange, Rejection } from './select-snapshot.ts';
export type { Owner } from './spool/index.ts';
export type { InstanceChecks } from './stages/check-instance.ts';
export { parseTimelineChoice, type TimelineChoice } from './stages/choose-timeline.ts';
export type { Reuse } from './stages/extract-files.ts';
export type { Loss } from './stages/measure-loss.ts';
export { prepareStart } from './stages/prepare-start.ts';
export type { RestoredInstance, StartOptions } from './stages/recover-instance.ts';
export { type PlacedTablespace, parseTablespaceMapping, type TablespaceWishes } from './tablespaces.ts';
export { type RecoveredEnd, verifyReached } from './verify-reached.ts';
