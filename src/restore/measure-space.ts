import { statfs } from 'node:fs/promises';
import { formatBytes, HoldfastError } from '../lib/index.ts';

/** Bytes that a restore puts somewhere. */
export interface SpaceNeed {
  readonly path: string;
  /** Names the file system. */
  readonly device: number;
  /** What an unprivileged process may still write there. */
  readonly freeBytes: number;
  readonly neededBytes: number;
}

/** A file system with all that a restore puts on it. */
export interface FileSystemNeed {
  readonly paths: readonly string[];
  readonly neededBytes: number;
  readonly freeBytes: number;
}

/** Puts together what lies on the same file system. */
export function groupByFileSystem(needs: readonly SpaceNeed[]): FileSystemNeed[] {
  return [...Map.groupBy(needs, ({ device }) => device).values()].map((same) => ({
    paths: same.map(({ path }) => path),
    neededBytes: same.reduce((sum, { neededBytes }) => sum + neededBytes, 0),
    freeBytes: Math.min(...same.map(({ freeBytes }) => freeBytes)),
  }));
}

/** Errors: RESTORE_SPACE_SHORT, for the first file system with too little space. */
export function refuseShort(fileSystems: readonly FileSystemNeed[], { start }: { start: boolean }): void {
  for (const { paths, neededBytes, freeBytes } of fileSystems) {
    if (freeBytes >= neededBytes) continue;
    const [first] = paths;
    const others = paths.length > 1 ? ` (and ${paths.length - 1} more places on the same file system)` : '';
    throw new HoldfastError(
      'RESTORE_SPACE_SHORT',
      `cannot restore into "${first}"${others}: there is too little space`,
      {
        detail: `Expected ${formatBytes(neededBytes)} for data and WAL, found ${formatBytes(freeBytes)} free.`,
        hints: [
          'Choose a place with more space.',
          ...(start ? [] : ['With --start the WAL is fetched while the server replays it, and takes less space.']),
        ],
      },
    );
  }
}

/** Of several places the one with the least free space; the first when nothing tells them apart. */
export async function findFullest(paths: readonly [string, ...string[]]): Promise<string> {
  let fullest: string = paths[0];
  let least = Number.POSITIVE_INFINITY;
  for (const path of paths) {
    const free = await freeBytesOf(path);
    if (free < least) [fullest, least] = [path, free];
  }
  return fullest;
}

async function freeBytesOf(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    // Safe: a place that is not there has no say in which one is full.
    return Number.POSITIVE_INFINITY;
  }
}
