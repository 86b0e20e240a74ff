/**
 * The log of everything done to a repository: signed, and chained by hashes, one chain for each writer.
 *
 * Nouns. *Writer*: a state directory; whatever processes use it are one writer. *Entry*: one thing done. *Head*: the last entry of a chain, by number and
 * SHA-256. *Remembered head*: what a state directory knows the store to have had; a store that no longer has it hides something (rule B4).
 *
 * It does not decide what is worth an entry, and journals no runs. Format: `docs/design.md` 7.
 */
export * from './acknowledge.ts';
export { type LedgerWriter, openAwayLedger } from './away-ledger.ts';
export { type CopyRegression, findLostByCopies, findLostByPrimary } from './copy-heads.ts';
export { makeStateDirectory, replaceFile } from './durable-file.ts';
export * from './entry.ts';
export { findHiddenHolds, type HiddenHold, HOLD_ADDED } from './hidden-holds.ts';
export { findHiddenSnapshots, type HiddenSnapshot } from './hidden-snapshots.ts';
export { KnownPlaces, otherRepository } from './known-places.ts';
export * from './ledger.ts';
export { recordAct } from './record-act.ts';
export { findRegressions, type Regression } from './regression.ts';
export * from './remembered-heads.ts';
export * from './verify-ledger.ts';
export * from './writer-id.ts';
