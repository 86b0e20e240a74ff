import { join, resolve } from 'node:path';
import { type Clock, codeOf, HoldfastError, systemClock } from '../../lib/index.ts';
import { newSpoolPath, objectAbsent, objectTooShort, SPOOL_DIRECTORY, storeErrorOf } from './basics/index.ts';
import { DurableDirectories, syncFailed } from './durable-directories.ts';
import { type FileStatus, type FileSystem, type ListedName, type OpenFile, systemFileSystem } from './file-system.ts';
import { madeOnce } from './made-once.ts';
import { assertObjectName, assertVolatileName, requireObjectName } from './object-name.ts';
import { removeAbandonedSpoolFiles } from './spool-directory.ts';
import type { ObjectEntry, ObjectStat, ObjectStore, PutOutcome } from './store.ts';

/** Entries whose sizes are asked for at once while listing. */
const STATUS_BATCH = 32;

/**
 * Objects as files of a directory, which must be there (`createPlace` makes it).
 *
 * An object becomes visible only when it is whole and durable: spool file → fsync → link to its name, which fails when that is
 * taken → fsync of the directory and of whatever was made on the way. A failed fsync is fatal (rule C1): `STORE_SYNC_FAILED`, then and for
 * every later write.
 * Errors beside those of the interface: `STORE_ABSENT` when the directory is not there or another lies in its place (a lost mount),
 * so that this never looks like an absent object.
 */
export function openDiskStore(path: string, options: { clock?: Clock; fileSystem?: FileSystem } = {}): ObjectStore {
  return new DiskStore(resolve(path), options.clock ?? systemClock, options.fileSystem ?? systemFileSystem);
}

class DiskStore implements ObjectStore {
  readonly description: string;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #files: FileSystem;
  readonly #directories: DurableDirectories;
  #rootIdentity: string | null = null;
  readonly #spool = madeOnce(() => this.#makeSpool());
  /** Set once by a failed fsync and never cleared. */
  #failure: Error | null = null;

  constructor(root: string, clock: Clock, files: FileSystem) {
    this.description = `disk "${root}"`;
    this.#root = root;
    this.#clock = clock;
    this.#files = files;
    this.#directories = new DurableDirectories(root, files);
  }

  async createPlace(): Promise<void> {
    await this.#writing(`create directory "${this.#root}"`, () => this.#directories.makeRoot());
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    assertObjectName(name);
    return this.#writing(`write object "${name}"`, async () => {
      const spoolPath = await this.#writeSpoolFile(parts);
      try {
        return await this.#publish(spoolPath, name);
      } finally {
        await this.#removeSpoolFile(spoolPath);
      }
    });
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    assertObjectName(name);
    try {
      return await this.#writing(`write object "${name}"`, async () => {
        await this.#checkPlace();
        await this.#sync(await this.#files.openFile(path), path);
        return this.#publish(path, name);
      });
    } finally {
      await this.#removeSpoolFile(path);
    }
  }

  /** The file lies in the spool, and a rename puts it in the place of the other in one step. */
  async replaceDamaged(name: string, path: string): Promise<void> {
    assertObjectName(name);
    try {
      await this.#writing(`replace object "${name}"`, async () => {
        await this.#checkPlace();
        await this.#sync(await this.#files.openFile(path), path);
        await this.#directories.ensure(parentOf(this.#pathOf(name)));
        await this.#files.rename(path, this.#pathOf(name));
        await this.#directories.sync(parentOf(this.#pathOf(name)));
      });
    } finally {
      await this.#removeSpoolFile(path);
    }
  }

  spoolDirectory(): Promise<string> {
    return this.#writing('make the spool directory', () => this.#openSpool());
  }

  async get(name: string): Promise<Buffer> {
    requireObjectName(name);
    return this.#reading(name, () => this.#files.read(this.#pathOf(name)));
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    requireObjectName(name);
    const bytes = await this.#reading(name, () => this.#files.readRange(this.#pathOf(name), offset, length));
    if (bytes.length === length) return bytes;
    throw objectTooShort(name, { offset, length }, bytes.length);
  }

  async stat(name: string): Promise<ObjectStat | null> {
    requireObjectName(name);
    try {
      const { isDirectory, size, modifiedAt } = await this.#reading(name, () => this.#files.status(this.#pathOf(name)));
      return isDirectory ? null : { size, modifiedAt };
    } catch (error) {
      if (codeOf(error) === 'OBJECT_ABSENT') return null;
      throw error;
    }
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectEntry, void> {
    await this.#checkPlace();
    const directory = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.#walk(directory, prefix, options.startAfter ?? '');
  }

  async delete(name: string): Promise<void> {
    assertObjectName(name);
    await this.#writing(`delete object "${name}"`, async () => {
      await this.#checkPlace();
      try {
        await this.#files.remove(this.#pathOf(name));
      } catch (error) {
        // Absent is what was asked for.
        if (!isNotThere(error)) throw error;
      }
    });
  }

  async putVolatile(name: string, body: Uint8Array): Promise<void> {
    assertVolatileName(name);
    await this.#writing(`write object "${name}"`, async () => {
      const spoolPath = await this.#writeSpoolFile(body);
      try {
        const path = this.#pathOf(name);
        await this.#directories.ensure(parentOf(path));
        await this.#files.rename(spoolPath, path);
      } catch (error) {
        await this.#removeSpoolFile(spoolPath);
        throw error;
      }
    });
  }

  async now(): Promise<number> {
    return this.#clock.now();
  }

  #pathOf(name: string): string {
    assertObjectName(name);
    return join(this.#root, name);
  }

  async #writeSpoolFile(parts: Uint8Array | readonly Uint8Array[]): Promise<string> {
    const spoolPath = newSpoolPath(await this.#openSpool());
    const file = await this.#files.createFile(spoolPath);
    try {
      await file.write(parts instanceof Uint8Array ? [parts] : parts);
    } catch (error) {
      await file.close();
      await this.#removeSpoolFile(spoolPath);
      throw error;
    }
    await this.#sync(file, spoolPath);
    return spoolPath;
  }

  /** Syncs and closes. What a failed sync left on the disk is not known, so nothing may be built on it. */
  async #sync(file: OpenFile, path: string): Promise<void> {
    try {
      await file.sync();
    } catch (error) {
      throw syncFailed(path, error);
    } finally {
      await file.close();
    }
  }

  /** Gives a synced file its name as an object, too; its name in the spool is the caller's to remove. */
  async #publish(spoolPath: string, name: string): Promise<PutOutcome> {
    const path = this.#pathOf(name);
    await this.#directories.ensure(parentOf(path));
    const outcome = await this.#link(spoolPath, path);
    // Also when it exists: whoever made it may not have come to this line yet, and our caller will build on it.
    await this.#directories.sync(parentOf(path));
    return outcome;
  }

  async #link(spoolPath: string, path: string): Promise<PutOutcome> {
    try {
      await this.#files.link(spoolPath, path);
      return 'created';
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return 'exists';
      throw error;
    }
  }

  async #removeSpoolFile(path: string): Promise<void> {
    try {
      await this.#files.remove(path);
    } catch {
      // Its name says whose it was: the next writer removes it. The outcome of the put is the one thing to report here.
    }
  }

  async #openSpool(): Promise<string> {
    const spool = await this.#spool();
    await this.#checkPlace();
    return spool;
  }

  async #makeSpool(): Promise<string> {
    await this.#checkPlace();
    const spool = join(this.#root, SPOOL_DIRECTORY);
    await this.#directories.ensure(spool);
    await removeAbandonedSpoolFiles(spool, this.#files, this.#clock);
    return spool;
  }

  /**
   * Makes sure that the directory is still the one this store was opened on: without this, a lost mount would look like a repository
   * whose objects are absent, and writes would go into the empty directory below it.
   */
  async #checkPlace(): Promise<void> {
    const status = await this.#statusOrNull(this.#root);
    if (status === null) throw this.#placeAbsent('found none');
    if (!status.isDirectory) throw this.#placeAbsent('found a file');
    if (this.#rootIdentity !== null && status.identity !== this.#rootIdentity) {
      // A remount may renumber the same directory; one in which we have worked before still has its spool.
      const spool = await this.#statusOrNull(join(this.#root, SPOOL_DIRECTORY));
      if (spool === null) throw this.#placeAbsent('found another directory in its place');
      this.#directories.forget();
    }
    this.#rootIdentity = status.identity;
  }

  #placeAbsent(found: string): HoldfastError {
    return new HoldfastError('STORE_ABSENT', `could not reach ${this.description}`, {
      detail: `Expected the directory "${this.#root}", ${found}.`,
      hints: ['Check the path, and that the disk is mounted.'],
    });
  }

  async *#walk(directory: string, prefix: string, startAfter: string): AsyncGenerator<ObjectEntry, void> {
    const names = await this.#listSorted(directory);
    for (let first = 0; first < names.length; first += STATUS_BATCH) {
      const batch = names.slice(first, first + STATUS_BATCH).filter((name) => mayMatch(name, prefix, startAfter));
      const statuses = await Promise.all(batch.map((name) => this.#statusOrNull(join(this.#root, name))));
      for (const [i, status] of statuses.entries()) {
        const name = batch[i]!;
        // Deleted since the directory was read, or not of the kind it was then.
        if (status === null || status.isDirectory !== name.endsWith('/')) continue;
        if (status.isDirectory) yield* this.#walk(name, prefix, startAfter);
        else if (name.startsWith(prefix) && name > startAfter)
          yield { name, size: status.size, modifiedAt: status.modifiedAt };
      }
    }
  }

  /**
   * Full names in bytewise order, directories with their slash: "a.b" stands before "a/" because "." is less than "/".
   * One directory is in memory at a time.
   */
  async #listSorted(directory: string): Promise<string[]> {
    let found: ListedName[];
    try {
      found = await this.#files.list(join(this.#root, directory));
    } catch (error) {
      if (isNotThere(error)) {
        await this.#checkPlace();
        return [];
      }
      throw storeErrorOf(error, `list objects under "${directory}"`);
    }
    const objects = directory === '' ? found.filter(({ name }) => name !== SPOOL_DIRECTORY) : found;
    const names = objects.map(({ name, isDirectory }) => directory + name + (isDirectory ? '/' : ''));
    return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  async #statusOrNull(path: string): Promise<FileStatus | null> {
    try {
      return await this.#files.status(path);
    } catch (error) {
      if (isNotThere(error)) return null;
      throw storeErrorOf(error, `look at "${path}"`);
    }
  }

  async #reading<T>(name: string, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      const code = codeOf(error);
      if (!isNotThere(error) && code !== 'EISDIR') throw storeErrorOf(error, `read object "${name}"`);
      await this.#checkPlace();
      throw objectAbsent(name, this.description);
    }
  }

  async #writing<T>(action: string, write: () => Promise<T>): Promise<T> {
    if (this.#failure !== null) {
      throw new HoldfastError('STORE_SYNC_FAILED', `cannot ${action}: an earlier write could not be made durable`, {
        detail: `This process writes no more to ${this.description} since then.`,
        hints: ['Check the disk, then start the command again.'],
        cause: this.#failure,
      });
    }
    try {
      return await write();
    } catch (error) {
      const told = storeErrorOf(error, action);
      if (codeOf(told) === 'STORE_SYNC_FAILED') this.#failure = told;
      throw told;
    }
  }
}

function mayMatch(name: string, prefix: string, startAfter: string): boolean {
  if (!name.endsWith('/')) return name.startsWith(prefix) && name > startAfter;
  // Everything in a directory begins with its name, so it may hold names after `startAfter` when it is greater or begins it.
  return (name.startsWith(prefix) || prefix.startsWith(name)) && (name > startAfter || startAfter.startsWith(name));
}

/** ENOTDIR: a part of the name is a file, so nothing can be below it. */
function isNotThere(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function parentOf(path: string): string {
  return join(path, '..');
}
