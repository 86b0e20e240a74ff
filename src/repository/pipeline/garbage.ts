import type { GarbageRule } from '../../lib/index.ts';

/**
 * A worker that stores chunks gives its buffers back at once, but each chunk leaves objects of zlib and OpenSSL, outside the heap and freed by a
 * collection of everything only. A heap that is as small as a worker's lets tens of thousands of them pile up, which matters where chunks are small.
 */
export const NATIVE_GARBAGE: GarbageRule = { bytesMax: 8 << 20, type: 'major' };
/** What the objects of one chunk take, about. */
export const NATIVE_BYTES_PER_CHUNK = 4 << 10;

/** For the main thread, in which the entries of thousands of files become nodes of a tree one after the other. */
export const PACKER_GARBAGE: GarbageRule = { bytesMax: 16 << 20, type: 'major' };

/** For a worker that restores: large buffers are given back by hand, and what is left outlives a young collection. A whole one costs 10 ms. */
export const EXTRACT_GARBAGE: GarbageRule = { bytesMax: 64 << 20, type: 'major' };

/** For the main thread of a restore: what a full batch of extents leaves has lived too long for a young collection. */
export const BATCH_GARBAGE: GarbageRule = { bytesMax: 8 << 20, type: 'major' };
