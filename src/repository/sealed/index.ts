/**
 * Sealed bodies in a store: everything but packs goes through here, under a name, once.
 *
 * Nouns. *Sealed objects*: a store and the keys to it. *Record*: a sealed body that is JSON of a known shape. *Access*: what
 * one who opened a repository means to do, and may.
 *
 * It does not know what the records mean; each kind has its own folder.
 */
export * from './record.ts';
export * from './sealed-objects.ts';
export * from './sealed-stream.ts';
