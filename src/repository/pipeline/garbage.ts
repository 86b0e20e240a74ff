import type { GarbageRule } from '../../lib/index.ts';

/** For a worker that stores chunks: its buffers die young, and a young collection costs a millisecond. */
export const INGEST_GARBAGE: GarbageRule = { bytesMax: 4 << 20, type: 'minor' };

/** For a worker that restores: what it is sent outlives a young collection. A whole one costs some milliseconds, as its heap is small. */
export const EXTRACT_GARBAGE: GarbageRule = { bytesMax: 16 << 20, type: 'major' };
