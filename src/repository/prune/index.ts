/**
 * Deletes what no snapshot needs, in two phases, while others write.
 *
 * Nouns. *Root*: a snapshot that may be restored, now or once it is committed. *Live*: reached from a root. *Announced*: named by a tombstone; nobody counts on such a
 * pack again. *Leftover*: stored, and never referred to. *State*: what one place of a repository had when it was looked at. *Proposal*: what is to be done about it.
 *
 * Which snapshots go is given to it, and so is what lies outside of packs, such as WAL. The race with writers, told as steps, and what a kill leaves:
 * `docs/prune.md`.
 */
export { type DeletionBudget, PruneBudget } from './budget.ts';
export { type ExecuteOptions, executePrune, type HoldCheck, type PruneResult } from './execute-prune.ts';
export type { IndexObjectFacts, LeaseFacts, PackFacts, PendingFacts, PruneFacts } from './facts.ts';
export { DEFAULT_MARGINS, type PruneMargins } from './margins.ts';
export {
  type ClearUp,
  type OtherObject,
  type PruneProposal,
  proposePrune,
  type RepackedPack,
  type Waiting,
  type WaitReason,
} from './propose-prune.ts';
export { collectPruneState, type ForgetWish, PRUNE_PURPOSE, type PruneState } from './prune-state.ts';
