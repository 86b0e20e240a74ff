/**
 * Whether what snapshots count on is locked, as the places themselves say.
 *
 * It extends nothing: that is done by the next backup.
 */
export { type CheckedLocks, type CheckedPlace, checkLocks } from './check-locks.ts';
