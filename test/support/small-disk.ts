import { execFile } from 'node:child_process';
import { chmod, mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runsAsRoot } from './scratch.ts';

const run = promisify(execFile);

/** A file system of its own that is small, and can be filled, made read-only and made larger. */
export interface SmallDisk {
  readonly path: string;
  /** Takes all the space that is left but so much. */
  fillUpTo(freeBytes: number): Promise<void>;
  /** Gives it back. */
  empty(): Promise<void>;
  setReadOnly(isReadOnly: boolean): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Why no small disk can be made; `false` where it can. Mounting needs root on Linux. */
export function whyNoSmallDisk(): string | false {
  return process.platform === 'linux' && runsAsRoot ? false : 'only root on Linux can mount a small disk';
}

/** Mounts a tmpfs of so many bytes at a directory, which is made. */
export async function mountSmallDisk(path: string, bytes: number): Promise<SmallDisk> {
  await mkdir(path);
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'holdfast-test', path]);
  const filler = join(path, 'filler');
  return {
    path,
    fillUpTo: async (freeBytes) => {
      const { bavail, bsize } = await statfs(path);
      const file = await open(filler, 'a');
      try {
        let left = bavail * bsize - freeBytes;
        const piece = Buffer.alloc(1024 * 1024);
        for (; left > 0; left -= piece.length) await file.appendFile(piece.subarray(0, Math.min(left, piece.length)));
      } catch (error) {
        // Somebody else took the rest meanwhile, which is as full.
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        await file.close();
      }
      await chmod(filler, 0o600);
    },
    empty: () => rm(filler, { force: true }),
    setReadOnly: async (isReadOnly) => {
      await run('mount', ['-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, path]);
    },
    [Symbol.asyncDispose]: async () => {
      // Lazily, as a process that a failed test left behind may still look into it.
      await run('umount', ['--lazy', path]);
    },
  };
}
