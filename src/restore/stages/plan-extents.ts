import type { FileHandle } from 'node:fs/promises';
import type { ExtractPipeline, FileMap } from '../../repository/index.ts';
import type { Difference } from '../content-comparer.ts';

/** Asks for all of a map, whose bytes lie in the file from `start` on. Zeros are there already. */
export async function addWhole(pipeline: ExtractPipeline, path: string, start: number, map: FileMap): Promise<void> {
  let fileOffset = start;
  for (const extent of map.extents) {
    if (extent.form === 'chunk') {
      const { id, offset: chunkOffset, length } = extent;
      await pipeline.addExtent(id, { path, fileOffset, chunkOffset, length });
    }
    fileOffset += extent.length;
  }
}

/** Zeros are written in pieces of this size. */
const ZEROS = Buffer.alloc(1 << 20);

/** Asks for those parts of a map that differ, and writes zeros where zeros belong. `differences` are counted from the beginning of the map. */
export async function addDifferences(options: {
  pipeline: ExtractPipeline;
  path: string;
  start: number;
  map: FileMap;
  differences: readonly Difference[];
  opened: FileHandle;
}): Promise<void> {
  const { pipeline, path, start, map, differences, opened } = options;
  let extentAt = 0;
  let next = 0;
  for (const extent of map.extents) {
    const extentEnd = extentAt + extent.length;
    // A difference may reach over several extents: it is passed only when it ends in this one.
    for (let i = next; i < differences.length; i++) {
      const { at, length } = differences[i]!;
      const from = Math.max(at, extentAt);
      const to = Math.min(at + length, extentEnd);
      if (from >= extentEnd) break;
      if (at + length <= extentEnd) next = i + 1;
      if (from >= to) continue;
      if (extent.form === 'zero') await writeZeros(opened, start + from, to - from);
      else {
        const chunkOffset = extent.offset + from - extentAt;
        await pipeline.addExtent(extent.id, { path, fileOffset: start + from, chunkOffset, length: to - from });
      }
    }
    extentAt = extentEnd;
  }
}

async function writeZeros(file: FileHandle, from: number, length: number): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesWritten } = await file.write(ZEROS, 0, Math.min(ZEROS.length, length - done), from + done);
    done += bytesWritten;
  }
}
