/**
 * How long objects stay untouchable, and that they do.
 *
 * Nouns. *Lock*: a moment before which nobody can delete a version of an object. *Rule*: how long an object of a name is locked when it is put. *Need*: how long
 * from now it has to be locked at least. *Stride*: what a lock is set beyond the need, so that extending is rare.
 *
 * It does not know which objects a snapshot counts on, and unlocks nothing. What locks do and do not do: `docs/threats.md`.
 */
export * from './extend-locks.ts';
export * from './lock-rule.ts';
export * from './locking-places.ts';
