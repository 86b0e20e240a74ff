/**
 * What a repository says of itself before any key is known.
 *
 * Nouns. *Format*: the object that makes a set of objects a repository; version, id and algorithms. *Feature*: the name of something that
 * came later, with the use (read, write, prune) that a version which does not know it has to refuse.
 */
export * from './features.ts';
export * from './format.ts';
