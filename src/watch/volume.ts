import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../lib/index.ts';

/** A file system as it is seen from one of its directories. */
export interface VolumeFacts {
  readonly path: string;
  /** What is asked about: the nearest directory that is there. */
  readonly seenAt: string;
  readonly kind: string;
  /** Tells file systems apart. */
  readonly device: number;
  readonly totalBytes: number;
  /** What is free to us. */
  readonly freeBytes: number;
  readonly totalFiles: number;
  readonly freeFiles: number;
}

/** The file system of a path that need not be there yet; `null` when it may not be looked at. */
export async function gatherVolume(path: string): Promise<VolumeFacts | null> {
  for (let seenAt = path; ; seenAt = dirname(seenAt)) {
    try {
      const [found, { dev }] = [await statfs(seenAt), await stat(seenAt)];
      return {
        ...{ path, seenAt, kind: nameFileSystem(found.type), device: dev },
        totalBytes: found.blocks * found.bsize,
        freeBytes: found.bavail * found.bsize,
        totalFiles: found.files,
        freeFiles: found.ffree,
      };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || seenAt === dirname(seenAt)) return null;
    }
  }
}

/** Numbers that the kernel gives to kinds of file systems. Source: statfs(2), linux/magic.h. */
const fileSystems: Readonly<Record<number, string>> = {
  ...{ 16914836: 'tmpfs', 2240043254: 'ramfs', 61267: 'ext4', 1481003842: 'xfs', 2435016766: 'btrfs' },
  ...{ 801189825: 'zfs', 26985: 'nfs', 20859: 'smb', 4266872130: 'smb2', 4283649346: 'cifs', 1702057286: 'fuse' },
  ...{ 2035054128: 'overlay', 16914839: '9p', 19780: 'vfat', 538032816: 'exfat', 12805120: 'ceph' },
};

function nameFileSystem(type: number): string {
  return fileSystems[type >>> 0] ?? `0x${(type >>> 0).toString(16)}`;
}

/** File systems on other machines, which other hosts may write to and whose locks and syncs are somebody else's. */
const remote: ReadonlySet<string> = new Set(['nfs', 'smb', 'smb2', 'cifs', '9p', 'fuse']);

export function isOnOtherMachine({ kind }: VolumeFacts): boolean {
  return remote.has(kind);
}
