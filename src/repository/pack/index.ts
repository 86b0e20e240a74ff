/**
 * Packs: stored objects of many chunks.
 *
 * Nouns. *Chunk*: at most 1 MiB of raw bytes under a keyed identity. *Pack*: chunk frames back to back, then a directory of them.
 * *Entry*: 40 bytes of the directory: identity, frame length, raw length. Data packs hold file contents; tree packs hold tree
 * nodes and map leaves.
 *
 * It does not know which chunks are already stored (index/), nor what they mean (tree/). Everything on the hot path is
 * synchronous and free of shared state, so it runs in a worker thread. Format: `docs/design.md` 5.
 */
export * from './opener/index.ts';
export * from './pack-writer.ts';
export * from './read-directory.ts';
