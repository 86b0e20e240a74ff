import { readdir } from 'node:fs/promises';
import { assert, codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import {
  type ObjectEntry,
  type ObjectStat,
  type ObjectStore,
  objectAbsent,
  openDiskStore,
} from '../object-store/index.ts';
import type { SpoolJudge } from './hand-over.ts';
import { spoolOf } from './spool.ts';

/**
 * What waits on this machine, as one more place to read from. It shows nothing until it is known for which repository, and never what another place
 * contradicts.
 */
export class WaitingStore implements ObjectStore {
  readonly description: string;
  readonly #above: string;
  #shown: { readonly store: ObjectStore; readonly names: ReadonlySet<string> } | null = null;

  /** `above`: where each repository has a directory. */
  constructor(above: string) {
    this.#above = above;
    this.description = `what waits in "${above}"`;
  }

  /**
   * Shows what waits for a repository, as far as `other` (all places but this one) does not contradict it. Gives the names that it does not show.
   *
   * Errors: STORE_SPOOL_UNREADABLE; those of `other`.
   */
  async show(repositoryId: string, judge: SpoolJudge, other: ObjectStore): Promise<string[]> {
    const names = await listSpooled(this.#above, repositoryId);
    if (names.length === 0) return [];
    const store = openDiskStore(spoolOf(this.#above, repositoryId));
    const contradictions = await judge.findContradictions(names, store, other);
    const isHidden = (name: string) => contradictions.some(({ prefix }) => name.startsWith(prefix));
    this.#shown = { store, names: new Set(names.filter((name) => !isHidden(name))) };
    return names.filter(isHidden);
  }

  async get(name: string): Promise<Buffer> {
    return this.#storeOf(name).get(name);
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#storeOf(name).getRange(name, offset, length);
  }

  async stat(name: string): Promise<ObjectStat | null> {
    return this.#shown?.names.has(name) === true ? this.#shown.store.stat(name) : null;
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectEntry, void> {
    if (this.#shown === null) return;
    const { store, names } = this.#shown;
    // Handed over meanwhile, it is in the primary.
    for await (const entry of store.list(prefix, options)) if (names.has(entry.name)) yield entry;
  }

  async now(): Promise<number> {
    return openDiskStore(this.#above).now();
  }

  putIfAbsent(): Promise<never> {
    return readOnly();
  }

  putFileIfAbsent(): Promise<never> {
    return readOnly();
  }

  spoolDirectory(): Promise<never> {
    return readOnly();
  }

  delete(): Promise<never> {
    return readOnly();
  }

  putVolatile(): Promise<never> {
    return readOnly();
  }

  #storeOf(name: string): ObjectStore {
    if (this.#shown?.names.has(name) === true) return this.#shown.store;
    throw objectAbsent(name, this.description);
  }
}

async function readOnly(): Promise<never> {
  assert(false, 'what waits on this machine is read, and brought by whoever receives WAL');
}

/** Names of what waits in a directory of spools for a repository. Errors: STORE_SPOOL_UNREADABLE. */
export async function listSpooled(above: string, repositoryId: string): Promise<string[]> {
  const directory = spoolOf(above, repositoryId);
  try {
    // Whether it is there is asked of the system, which tells what is absent from what may not be looked at.
    await readdir(directory);
    const names: string[] = [];
    for await (const { name } of openDiskStore(directory).list('wal/')) names.push(name);
    return names;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new HoldfastError('STORE_SPOOL_UNREADABLE', `could not look at what waits in "${directory}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Check the owner and mode of the directory, and that its disk is mounted.'],
      cause: error,
    });
  }
}
