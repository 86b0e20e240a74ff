import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeStateDirectory, replaceFile } from '../../ledger/index.ts';

const knownLocks = z.record(z.string(), z.number());

/**
 * What this host has learnt about the locks of one place: it spares a request for each pack of each backup. Losing the file costs these requests once,
 * so whatever is wrong with it is the same as none.
 */
export class KnownLocks {
  readonly #directory: string;
  readonly #path: string;

  /** `description` is the store's: another bucket under the name of a place has locks of its own. */
  constructor(stateDirectory: string, options: { repositoryId: string; place: string; description: string }) {
    const { repositoryId, place, description } = options;
    const mark = createHash('sha256').update(description).digest('hex').slice(0, 16);
    this.#directory = join(stateDirectory, 'locks');
    this.#path = join(this.#directory, `${repositoryId}.${place}.${mark}.json`);
  }

  /** By object name, in milliseconds since 1970. */
  async read(): Promise<Map<string, number>> {
    try {
      return new Map(Object.entries(knownLocks.parse(JSON.parse(await readFile(this.#path, 'utf8')))));
    } catch {
      // Not there, not to be read by this user, not as it was written: the places are asked instead.
      return new Map();
    }
  }

  /** Keeps what is still of use at `now`. Errors: `STATE_UNWRITABLE`. */
  async write(locks: ReadonlyMap<string, number>, now: number): Promise<void> {
    await makeStateDirectory(this.#directory);
    await replaceFile(this.#path, JSON.stringify(Object.fromEntries([...locks].filter(([, until]) => until > now))));
  }
}
