import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackDebianPackages, whyNotDebian, writeLauncher } from './debian-packages.ts';
import { cacheDirectory, createOnce } from './postgres-binaries.ts';
import { makeScratchDirectory, runsAsRoot } from './scratch.ts';

const run = promisify(execFile);

/** A file system of its own, mounted for a test. */
export interface MountedFileSystem {
  readonly path: string;
  dispose(): Promise<void>;
}

/** Counts up when what is fetched changes. */
const cacheName = 'xfsprogs-1';
const imageBytes = 600 * 1024 * 1024;

/**
 * A small XFS, which shares the blocks of cloned files, in a file on a loop device. Gives in words why there is none where the machine does not
 * let us mount one: without root, in most containers, or where the kernel has no XFS.
 */
export async function mountReflinkFileSystem(): Promise<MountedFileSystem | string> {
  if (!runsAsRoot) return 'only root mounts file systems';
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices';
  const mkfs = await findMkfs();
  if (mkfs === null) return 'there is no mkfs.xfs';
  const scratch = await makeScratchDirectory('xfs');
  const [image, path] = [join(scratch, 'image'), join(scratch, 'mounted')];
  const remove = () => rm(scratch, { recursive: true, force: true });
  try {
    const file = await open(image, 'w');
    await file.truncate(imageBytes);
    await file.close();
    await run(mkfs, ['-q', '-m', 'reflink=1', image]);
    await mkdir(path);
    await run('mount', ['-o', 'loop', image, path]);
    await chmod(path, 0o755);
  } catch (error) {
    await remove();
    return `XFS cannot be made or mounted here: ${String(error)}`;
  }
  return {
    path,
    dispose: async () => {
      await run('umount', [path]);
      await remove();
    },
  };
}

/** A small file system in memory that can be filled up; in words why there is none. */
export async function mountMemoryFileSystem(megabytes: number): Promise<MountedFileSystem | string> {
  if (!runsAsRoot) return 'only root mounts file systems';
  const path = await makeScratchDirectory('tmpfs');
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'holdfast-test', path]);
  } catch (error) {
    await rm(path, { recursive: true });
    return `a file system in memory cannot be mounted here: ${String(error)}`;
  }
  return {
    path,
    dispose: async () => {
      await run('umount', [path]);
      await rm(path, { recursive: true });
    },
  };
}

async function findMkfs(): Promise<string | null> {
  for (const path of ['/usr/sbin/mkfs.xfs', '/sbin/mkfs.xfs']) if (existsSync(path)) return path;
  if (whyNotDebian() !== null) return null;
  const directory = await createOnce(join(await cacheDirectory(), cacheName), async (unfinished) => {
    await mkdir(unfinished);
    const root = join(unfinished, 'root');
    await unpackDebianPackages({
      suite: 'forky',
      packages: ['xfsprogs'],
      without: ['perl', 'libperl', 'libgdbm', 'libdb5', 'libc-gconv', 'python3', 'gcc-'],
      directory: root,
    });
    await writeLauncher(
      root,
      existsSync(join(root, 'usr/sbin/mkfs.xfs')) ? 'usr/sbin/mkfs.xfs' : 'sbin/mkfs.xfs',
      join(unfinished, 'mkfs.xfs'),
    );
  });
  return join(directory, 'mkfs.xfs');
}
