/**
 * The same repository in several places: written to one, read from whichever is whole and near.
 *
 * Nouns. *Place*: where the whole repository lies, with a name. *Primary*: the place that is written. *Copy*: any other. *Pass*: what a copy lacks,
 * found by comparing listings, brought in the order of writes. *Lag*: the age of the oldest object that a copy lacks.
 *
 * It never overwrites in a copy and never hands a deletion on, and needs no key but to prove what is to heal. It does not know what a backup
 * needs, nor how a store is reached. States, order and crashes: `docs/copies.md`.
 */
export { bringBack, listOnlyInCopy } from './bring-back.ts';
export * from './compare-copies.ts';
export * from './copied-store.ts';
export type { CopyState } from './copier.ts';
export * from './events.ts';
export type { Contradiction, SpoolEvent, SpoolJudge } from './hand-over.ts';
export * from './heal-object.ts';
export { isPlaceTrouble } from './place-watch.ts';
export { type Provers, proveObject } from './prove-object.ts';
export type { UntilCopiedOptions } from './require-objects.ts';
export * from './spooled-store.ts';
export {
  executeSync,
  type MissingObject,
  proposeSync,
  type SyncOptions,
  type SyncProposal,
  type SyncResult,
  syncCopy,
} from './sync-copy.ts';
export { isNoCopy } from './tell-apart.ts';
export { isHeldAlike } from './transfer.ts';
export { listSpooled, WaitingStore } from './waiting-store.ts';
