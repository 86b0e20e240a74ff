/**
 * Reading again what is stored, before somebody needs it.
 *
 * Nouns: a *verification* reads every byte that snapshots need and proves it; a *finding* is one object that is not what was stored; its *cost* is
 * what can no longer be restored for it, snapshots and moments; a *verdict* says whether a snapshot can still be restored in full, as another
 * copy of a chunk may be sound.
 *
 * It heals nothing and restores nothing: whether a restored server starts and has its data is for a restore test to say.
 */
export { describeCost, describePath } from './describe-damage.ts';
export type { PackFinding } from './pack-check.ts';
export type { Sample, WalScope } from './scope.ts';
export type {
  DamagedObject,
  SnapshotCost,
  SnapshotProblem,
  SnapshotVerdict,
  UnreadableObject,
  Unreferenced,
  VerificationResult,
  WalCost,
} from './verdict.ts';
export { type VerifyOptions, verifySnapshots } from './verify-snapshots.ts';
export { findGoneSegments, listWalObjects, type PlacedWal, type WalFinding, withoutObjects } from './wal-check.ts';
