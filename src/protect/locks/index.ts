/**
 * That what a snapshot counts on stays locked for as long as the snapshot is to be.
 *
 * Nouns. *Place lock*: until when all that a snapshot counts on is locked in one place. *Known locks*: what this host has learnt of them, which spares
 * requests.
 *
 * How an object is locked is the repository's part; how long, the plan's.
 */
export * from './keep-locks.ts';
export * from './place-lock.ts';
export * from './replaced-index.ts';
