/**
 * Listings of files as trees of chunks.
 *
 * Nouns. *Entry*: one file, directory or symbolic link, by its path. *Node*: entries in the order of their paths, stored as a chunk; a *leaf*
 * node holds entries, an *inner* node holds nodes; the *root* is the last one. *File map*: which bytes of which chunks a file is made of.
 * *Map leaf*: a chunk with the map of 8 MiB of a large file.
 *
 * Equal parts of two trees are the same chunks, whoever wrote them. It neither stores nor fetches: both are handed in. Format:
 * `docs/design.md` 7.
 */
export * from './differing-pages.ts';
export * from './entry.ts';
export * from './file-map.ts';
export * from './list-chunks.ts';
export * from './patch-map.ts';
export * from './read-tree.ts';
export * from './tree-loss.ts';
export * from './tree-writer.ts';
export * from './walk-tree.ts';
