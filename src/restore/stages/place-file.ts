import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import type { FileEntry } from '../../repository/index.ts';
import type { ClaimedTarget } from './claim-target.ts';

/** How the bytes that were there before come into a restored file. */
export type EarlierContent = 'none' | 'in-place' | 'cloned' | 'copied';

/** Makes files of a snapshot in their places, each with its final size, mode and owner, and perhaps with bytes that may be the right ones. */
export class FilePlacer {
  readonly #target: ClaimedTarget;
  readonly #cloneFrom: string | null;
  readonly #reuses: boolean;
  /** False once the file system has said that it does not clone. */
  #clones = true;

  /** `reuses`: the directory has files already that may be the right ones, of a server or of a restore that was broken off. */
  constructor(target: ClaimedTarget, manner: { reuses: boolean; cloneFrom: string | null }) {
    this.#target = target;
    this.#reuses = manner.reuses;
    this.#cloneFrom = manner.cloneFrom;
  }

  /** `path` is where the file will lie; `entry.path` where another directory of the cluster has it. */
  place(path: string, entry: FileEntry): EarlierContent {
    const absolute = join(this.#target.path, path);
    const found = this.#reuses ? this.#reuse(absolute) : 'none';
    const earlier = found === 'none' ? this.#clone(absolute, entry) : found;
    const flags = earlier === 'none' ? constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY : constants.O_WRONLY;
    if (earlier !== 'none') chmodSync(absolute, 0o600);
    const descriptor = openSync(absolute, flags | constants.O_NOFOLLOW, 0o600);
    try {
      // With its final size from the beginning, runs of zeros need not be written.
      if (earlier !== 'none' || entry.size > 0) ftruncateSync(descriptor, entry.size);
      const { owner } = this.#target;
      if (owner !== undefined) fchownSync(descriptor, owner.uid, owner.gid);
      // Not left to open, which asks the umask.
      fchmodSync(descriptor, entry.mode & 0o777);
    } finally {
      closeSync(descriptor);
    }
    return earlier;
  }

  /** Makes a directory, or takes the one that is there; a link or a file in its place goes. */
  placeDirectory(path: string, mode: number): void {
    const absolute = join(this.#target.path, path);
    if (this.#reuses) {
      const found = lookAt(absolute);
      const isTablespace = found?.isSymbolicLink() && /^pg_tblspc\/[0-9]+$/.test(path);
      if (found !== null && !found.isDirectory() && !isTablespace) rmSync(absolute);
    }
    mkdirSync(absolute, { recursive: true });
    // Not left to mkdir, which asks the umask.
    chmodSync(absolute, mode);
    const { owner } = this.#target;
    if (owner !== undefined) chownSync(absolute, owner.uid, owner.gid);
  }

  #reuse(absolute: string): EarlierContent {
    const found = lookAt(absolute);
    if (found === null) return 'none';
    // A restore that was broken off has made files of which it had written nothing: there is nothing to compare.
    if (!found.isFile() || (found.size > 0 && found.blocks === 0)) {
      rmSync(absolute, { recursive: true });
      return 'none';
    }
    // Another directory has the same file, as after `pg_upgrade --link`: that one must not change.
    if (found.nlink > 1) {
      copyFileSync(absolute, `${absolute}${OWN_COPY}`, constants.COPYFILE_FICLONE);
      renameSync(`${absolute}${OWN_COPY}`, absolute);
    }
    return 'in-place';
  }

  #clone(absolute: string, entry: FileEntry): EarlierContent {
    if (this.#cloneFrom === null || entry.size === 0) return 'none';
    const source = join(this.#cloneFrom, entry.path);
    if (lookAt(source)?.isFile() !== true) return 'none';
    if (this.#clones) {
      try {
        copyFileSync(source, absolute, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
        return 'cloned';
      } catch (error) {
        if (isGone(error)) return 'none';
        if (!DOES_NOT_CLONE.includes(codeOf(error) ?? '')) throw error;
        rmSync(absolute, { force: true });
        // Tablespaces may lie on other file systems: only the data directory's answer is believed for all that follows.
        if (!entry.path.startsWith('pg_tblspc/')) this.#clones = false;
      }
    }
    try {
      copyFileSync(source, absolute, constants.COPYFILE_EXCL);
      return 'copied';
    } catch (error) {
      if (isGone(error)) return 'none';
      throw error;
    }
  }
}

/** Under this name a copy is made before it takes the place of a file that is shared; a restore that is repeated sweeps it away. */
const OWN_COPY = '.holdfast-copy';

/** What systems say of a clone that cannot be made here. */
const DOES_NOT_CLONE = ['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY'];

/** A running source may remove a file at any time; then it is fetched like any other. */
function isGone(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

function lookAt(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return null;
    throw error;
  }
}
