/**
 * The commit index: where transactions ended, when, and what they removed, so that a moment is found in months of WAL by a few reads.
 *
 * Nouns: a *landmark* is a record that a restore can aim at, or that tells of the way; a *block* is the landmarks of one segment; its *tail*
 * is what it keeps of the record that goes on in the next; a *summary* is what a block or many hold, in counts and bounds; a *level* is a
 * roll-up of sixteen summaries.
 *
 * It is made from the WAL and never needed: whatever is missing of it is read from the WAL, with the same result. The format is in
 * `docs/commit-index.md`.
 */
export { carriedBy, type SegmentBlock, type SegmentTail } from './block.ts';
export { type CollectedBlock, LandmarkCollector } from './collector.ts';
export { fullXidNear } from './full-xid.ts';
export { FAN_OUT, type IndexPlace, indexObjectName, LEVEL_MAX, readBlock, readBlockBefore } from './index-objects.ts';
export { LandmarkKeeper, putBlock, rollUp, rollUpLevel } from './keeper.ts';
export { type LandmarkQuestion, type LandmarkRange, LandmarkReader, type SummaryDecision } from './reader.ts';
export { listSegmentRuns, type SegmentRun } from './segment-runs.ts';
export type { LandmarkSummary } from './summary.ts';
