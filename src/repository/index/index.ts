/**
 * Where each chunk lies.
 *
 * Nouns. *Index object*: a stored list of packs with their entries. *Chunk index*: all of them in about 10 bytes of memory for each chunk,
 * the rest in an unlinked temporary file. *Location*: pack, offset and lengths of one stored copy of a chunk. A pack under a damage
 * record or a tombstone is *doubtful*: writers do not count on it, readers try it last.
 *
 * It does not know what chunks hold, and deletes nothing.
 */
export * from './chunk-index.ts';
export * from './chunk-reader.ts';
export * from './index-object.ts';
export * from './load-index.ts';
export * from './pack-list.ts';
export * from './rebuild-index.ts';
