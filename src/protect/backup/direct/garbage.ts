import type { GarbageRule } from '../../../lib/index.ts';

/** What is left of one step of a file, about: of a small file there are two, of a large one a step for each mebibyte. */
export const BYTES_PER_STEP = 1 << 10;

/** For a reader, whose heap is small: with many small files it would grow to several times what it needs. */
export const READER_GARBAGE: GarbageRule = { bytesMax: 8 << 20, type: 'major' };

/** For the main thread, which takes the steps of all readers. */
export const STEPS_GARBAGE: GarbageRule = { bytesMax: 16 << 20, type: 'major' };
