/**
 * What is known to be damaged: one record for each pack, written before anything is done about it (rule A1).
 *
 * Nouns. *Damage record*: says that a pack holds at least one frame that is not authentic, or is gone. From then on no writer counts on its
 * chunks. It heals nothing and deletes nothing.
 */
export * from './damage-record.ts';
