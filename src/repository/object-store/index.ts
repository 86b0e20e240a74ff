/**
 * Where objects lie: a flat space of names, each created once.
 *
 * Nouns. *Store*: the interface and its promises (`store.ts`). *Spool*: a local directory for files that are not objects yet.
 * *Wrapper*: a store around a store, such as the one that repeats what failed for a while.
 *
 * It does not know what is in an object: no keys, no repository, and no kinds but two, which are told by their names: what is *volatile* may be
 * overwritten, and a *fragment* of WAL goes when it is joined. Every implementation and wrapper is held to `test/contract/object-store.ts`.
 */
export * from './azure/index.ts';
export * from './basics/index.ts';
export * from './credentials.ts';
export * from './disk-store.ts';
export * from './file-system.ts';
export type { Attempt, AttemptAnswer, AttemptId, Intruder } from './intruder.ts';
export * from './location-identity.ts';
export * from './memory-store.ts';
export { isFragment, isVolatile, VOLATILE_PREFIX } from './object-name.ts';
export * from './open-store.ts';
export * from './overlay-store.ts';
export * from './rate-limit.ts';
export * from './retrying-store.ts';
export * from './s3/index.ts';
export * from './spool-directory.ts';
export * from './store.ts';
export * from './unusable-store.ts';
