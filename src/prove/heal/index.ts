/**
 * What can be mended without a new backup: an index from the packs it named, a committed record from its pending one, second copies of small
 * objects, WAL from a server that still has it.
 *
 * Nothing is overwritten: what heals is stored under a name of its own, and readers take what authenticates. Contents of files are healed by
 * the next backup, which stores again what is recorded as damaged; whether all is there again is for a verification to say.
 */
export { type HealedWal, type HealOptions, type HealResult, healRepository } from './heal-repository.ts';
