import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../lib/index.ts';
import { spoolOwnerState, storeErrorOf } from './basics/index.ts';
import { type FileSystem, systemFileSystem } from './file-system.ts';
import { madeOnce } from './made-once.ts';

/** After this long a spool file of another host is nobody's: no pack is open for more than hours. */
const FOREIGN_SPOOL_DAYS = 7;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * The spool of a store that lies elsewhere: a directory of this host, under the one that is given for temporary files, or one that ends with
 * this process. Opening it removes what dead processes have left.
 */
export class LocalSpool {
  /** Errors: those of `storeErrorOf`. */
  readonly open = madeOnce(() =>
    this.#make().catch((error) => {
      throw storeErrorOf(error, 'make the spool directory');
    }),
  );
  readonly #parent: string | undefined;
  readonly #clock: Clock;

  constructor(parent: string | undefined, clock: Clock) {
    this.#parent = parent;
    this.#clock = clock;
  }

  async #make(): Promise<string> {
    if (this.#parent === undefined) return makeTemporarySpool();
    const spool = join(this.#parent, 'spool');
    await mkdir(spool, { recursive: true, mode: 0o700 });
    await removeAbandonedSpoolFiles(spool, systemFileSystem, this.#clock);
    return spool;
  }
}

const temporarySpools = new Set<string>();

/** A spool that is removed when the process ends. */
export function makeTemporarySpool(): string {
  const spool = mkdtempSync(join(tmpdir(), 'holdfast-spool-'));
  if (temporarySpools.size === 0) process.once('exit', removeTemporarySpools);
  temporarySpools.add(spool);
  return spool;
}

function removeTemporarySpools(): void {
  for (const spool of temporarySpools) rmSync(spool, { recursive: true, force: true });
}

/** Removes what dead processes have left in a spool, and what nobody can be asked about once it is old. */
export async function removeAbandonedSpoolFiles(spool: string, files: FileSystem, clock: Clock): Promise<void> {
  for (const { name } of await files.list(spool)) {
    const path = join(spool, name);
    if (!(await isAbandoned(name, path, files, clock))) continue;
    try {
      await files.remove(path);
    } catch {
      // Its name says whose it was: the next writer removes it.
    }
  }
}

async function isAbandoned(name: string, path: string, files: FileSystem, clock: Clock): Promise<boolean> {
  const owner = spoolOwnerState(name);
  if (owner !== 'elsewhere') return owner === 'dead';
  try {
    const { modifiedAt } = await files.status(path);
    return clock.now() - modifiedAt > FOREIGN_SPOOL_DAYS * DAY_MS;
  } catch {
    // Gone since the directory was read, or not to be looked at: then it is not ours to remove either.
    return false;
  }
}
