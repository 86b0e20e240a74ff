/**
 * Reading again what is stored, before somebody needs it.
 *
 * Nouns: a *verification* reads every byte that snapshots need and proves it; a *finding* is one object that is not what was stored; a
 * *verdict* says whether a snapshot can still be restored in full, as another copy of a chunk may be sound.
 *
 * It heals nothing and restores nothing: whether a restored server starts and has its data is for a restore test to say.
 */
export type { PackFinding } from './pack-check.ts';
export type { SnapshotProblem, SnapshotVerdict, UnreadableObject, VerificationResult } from './verdict.ts';
export { type VerifyOptions, verifySnapshots } from './verify-snapshots.ts';
export type { WalFinding } from './wal-check.ts';
