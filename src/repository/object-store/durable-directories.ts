import { dirname, relative } from 'node:path';
import { codeOf, HoldfastError } from '../../lib/index.ts';
import type { FileSystem } from './file-system.ts';

/**
 * The directories of a disk store, each made so that it survives a crash before anything is put into it.
 *
 * A directory that is already there may have been made a moment ago by a process that has not synced its parent yet. So each one is synced
 * into its parent once by every store that uses it, no matter who made it.
 */
export class DurableDirectories {
  readonly #root: string;
  readonly #files: FileSystem;
  readonly #durable = new Set<string>();

  constructor(root: string, files: FileSystem) {
    this.#root = root;
    this.#files = files;
    this.#durable.add(root);
  }

  /** Makes `directory`, which lies below the root, and what is missing between them. The root itself is never made here. */
  async ensure(directory: string): Promise<void> {
    if (this.#durable.has(directory)) return;
    await this.ensure(dirname(directory));
    await this.#make(directory);
    await this.sync(dirname(directory));
    this.#durable.add(directory);
  }

  /** Makes the root and what is missing above it. */
  async makeRoot(): Promise<void> {
    await this.#makeUpwards(this.#root);
  }

  /** Makes the names in a directory durable. Errors: `STORE_SYNC_FAILED`, after which nothing may be written any more. */
  async sync(directory: string): Promise<void> {
    try {
      await this.#files.syncDirectory(directory);
    } catch (error) {
      if (isOpenError(error)) throw error;
      throw syncFailed(directory, error);
    }
  }

  /** Forgets what is known to be durable, as another directory may lie at the root's path now. */
  forget(): void {
    for (const directory of this.#durable) {
      if (relative(this.#root, directory) !== '') this.#durable.delete(directory);
    }
  }

  async #makeUpwards(directory: string): Promise<void> {
    const parent = dirname(directory);
    let made: boolean;
    try {
      made = await this.#make(directory);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || parent === directory) throw error;
      await this.#makeUpwards(parent);
      made = await this.#make(directory);
    }
    try {
      await this.sync(parent);
    } catch (error) {
      // A directory that was there already may stand in a parent that we cannot open; whoever made it had to sync it.
      if (made || !isOpenError(error)) throw error;
    }
  }

  async #make(directory: string): Promise<boolean> {
    try {
      await this.#files.makeDirectory(directory);
      return true;
    } catch (error) {
      // Some systems tell a read-only place before they tell that the directory exists.
      const mayExist = ['EEXIST', 'EROFS', 'EACCES', 'EISDIR'].includes(codeOf(error) ?? '');
      if (mayExist && (await this.#isDirectory(directory))) return false;
      throw error;
    }
  }

  async #isDirectory(path: string): Promise<boolean> {
    try {
      return (await this.#files.status(path)).isDirectory;
    } catch {
      // Not even to be looked at: the error of making it says more.
      return false;
    }
  }
}

/** These come from opening the directory, before any sync was asked for; nothing was lost, the name is only not promised yet. */
function isOpenError(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'EMFILE', 'ENFILE', 'ENOMEM'].includes(codeOf(error) ?? '');
}

/** After a failed fsync nobody knows what is on the disk, and a second one would report success for pages that were dropped. */
export function syncFailed(path: string, cause: unknown): HoldfastError {
  return new HoldfastError('STORE_SYNC_FAILED', `cannot make "${path}" durable: the disk refused to sync it`, {
    detail: 'Expected the operating system to confirm the write, found an error; what is on the disk is not known.',
    hints: ['Check the disk and the system log, then start the command again: what was confirmed before is kept.'],
    cause,
  });
}
