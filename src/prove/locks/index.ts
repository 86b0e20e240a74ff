/**
 * Whether what snapshots count on is locked, as the places themselves say.
 *
 * Besides, what was overwritten or deleted by name and is ignored. It extends nothing: that is done by the next backup.
 */

export { type CheckedLocks, type CheckedPlace, checkLocks } from './check-locks.ts';
export { type FoundTampering, findTampering } from './find-tampering.ts';
