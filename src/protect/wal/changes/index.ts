/**
 * Which blocks a range of WAL changes, derived from the records themselves.
 *
 * Nouns: a *fork* is one of the up to four files of a relation (main, free space map, visibility map, initial); a *limit* says from which block on a
 * fork was made anew or cut; a *change set* is, for each fork, its limit and the blocks that records name.
 *
 * It is a witness that owes nothing to the server's own WAL summaries, by which the server chooses what an increment has. It is stored beside the
 * commit index, made from the WAL and never needed. The format is in `docs/cross-checks.md`. It judges nothing itself.
 */
export {
  CHANGES_LEVEL_MAX,
  ChangesKeeper,
  changesObjectName,
  segmentsOfLevel,
  uniteChanges,
} from './change-objects.ts';
export { type ChangeSet, type ForkChanges, type ForkName, firstAtOrAbove, forkKey } from './change-set.ts';
export { ChangeCollector, RecordChanges } from './collector.ts';
export { type ReadChangeSet, readChangeSet } from './read-change-set.ts';
export type { SegmentChanges } from './segment-changes.ts';
