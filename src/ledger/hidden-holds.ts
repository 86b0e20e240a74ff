import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, mapAhead, messageOf } from '../lib/index.ts';
import type { HoldList, Repository } from '../repository/index.ts';
import { listHeads, readTail } from './chain-tails.ts';
import { makeStateDirectory, replaceFile, stateUnreadable } from './durable-file.ts';

/** Writers that are asked about at once. */
const READS_MAX = 8;

/** A hold that was seen before, or that the ledger says was placed, and of which nothing is there: neither it nor its end. */
export interface HiddenHold {
  readonly hold: string;
  /** From what it is known. */
  readonly knownFrom: 'this-host' | 'ledger';
}

/**
 * The holds that the store no longer shows (rule B4), as no hold is ever deleted: those that this host saw before, and those that stand near the ends of
 * the ledger's chains. What is there now is remembered.
 *
 * `list`: as `listHolds` gave it. Errors: `STATE_UNREADABLE`; those of the store.
 */
export async function findHiddenHolds(
  repository: Repository,
  stateDirectory: string,
  list: HoldList,
): Promise<HiddenHold[]> {
  const memory = new SeenHolds(stateDirectory, repository.id);
  const there = new Set([
    ...list.holds.map(({ id }) => id),
    ...list.endedUnseen,
    // What cannot be read is told by that.
    ...list.unreadable.map(({ name }) => name.slice(name.lastIndexOf('/') + 1)),
  ]);
  const seen = await memory.read();
  const hidden = new Map<string, HiddenHold>();
  for (const hold of seen) if (!there.has(hold)) hidden.set(hold, { hold, knownFrom: 'this-host' });
  const look = ([writer, head]: [string, number]) => findPlaced(repository, writer, head);
  for await (const placed of mapAhead(await listHeads(repository), { atOnceMax: READS_MAX }, look)) {
    for (const hold of placed)
      if (!there.has(hold) && !hidden.has(hold)) hidden.set(hold, { hold, knownFrom: 'ledger' });
  }
  await memory.rememberAll(list.holds.map(({ id }) => id).filter((id) => !seen.has(id)));
  return [...hidden.values()].sort((a, b) => (a.hold < b.hold ? -1 : 1));
}

/** The action of the entries that tell of a new hold; their subject is its id. */
export const HOLD_ADDED = 'hold.add';

async function findPlaced(repository: Repository, writer: string, head: number): Promise<string[]> {
  const placed: string[] = [];
  for await (const { action, outcome, subject } of readTail(repository, writer, head))
    if (action === HOLD_ADDED && outcome === 'done') placed.push(subject);
  return placed;
}

/** The ids of the holds that a state directory has seen in one repository: an empty file for each, so that processes never undo each other's work. */
class SeenHolds {
  readonly #directory: string;

  constructor(stateDirectory: string, repositoryId: string) {
    this.#directory = join(stateDirectory, 'holds', repositoryId);
  }

  async read(): Promise<Set<string>> {
    try {
      return new Set((await readdir(this.#directory)).filter((name) => /^[0-9a-f]{64}$/.test(name)));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return new Set();
      throw stateUnreadable(this.#directory, `The system said: ${messageOf(error)}.`, error);
    }
  }

  async rememberAll(ids: readonly string[]): Promise<void> {
    try {
      if (ids.length > 0) await makeStateDirectory(this.#directory);
      for (const id of ids) await replaceFile(join(this.#directory, id), '');
    } catch (error) {
      // Whoever only looks may have no right to write here; then the ledger alone tells of what is hidden later.
      if (codeOf(error) !== 'STATE_UNWRITABLE') throw error;
    }
  }
}
