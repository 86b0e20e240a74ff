/**
 * Content-addressed, encrypted storage in an object store: bytes in, the same bytes out, or a damage that is named.
 *
 * Nouns. *Repository*: a set of objects under one `format` and one key bundle. *Object*: a name and its bytes, created once. *Chunk*: at most 1 MiB of
 * content under a keyed identity. *Pack*, *index*, *tree*, *snapshot*: chunks stored together; where they lie; which files they make; which backup
 * that was. *Lease*, *damage*, *tombstone*, *hold*: what writers, pruners and people tell each other.
 *
 * It knows nothing of PostgreSQL, of plans or of commands, and prints nothing. Format and invariants: `docs/design.md`.
 */
export * from './attestation/index.ts';
export * from './codec/index.ts';
export * from './copies/index.ts';
export * from './damage/index.ts';
export * from './fingerprint/index.ts';
export * from './format/index.ts';
export * from './hold/index.ts';
export * from './index/index.ts';
export * from './init-repository.ts';
export * from './key/index.ts';
export { checkKeyObjects, type KeyObjectProblem } from './key-check.ts';
export { beginEpoch, type EpochProposal, type NewEpoch, proposeEpoch } from './key-epochs.ts';
export { addSlot, type LeftObject, listSlots, removeSlot, rotateSlot, type SlotInfo } from './key-slots.ts';
export * from './lease/index.ts';
export * from './lock/index.ts';
export * from './measure-store.ts';
export * from './object-store/index.ts';
export * from './open-repository.ts';
export * from './pack/index.ts';
export * from './pipeline/index.ts';
export * from './probe/index.ts';
export * from './prune/index.ts';
export * from './repository.ts';
export * from './sealed/index.ts';
export * from './snapshot/index.ts';
export * from './tombstone/index.ts';
export * from './tree/index.ts';
export * from './why-away.ts';
