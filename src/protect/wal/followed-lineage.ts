import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeStateDirectory, replaceFile } from '../../ledger/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';

/**
 * The lineage that the files of a system went into from here: two copies of one server may push under one name, and each is to be held against its
 * own history first. It is a hint; every file is compared whatever it says.
 */
export class FollowedLineage {
  readonly #directory: string;
  readonly #path: string;

  constructor(stateDirectory: string, repositoryId: string, of: { system: string; cluster: string }) {
    this.#directory = join(stateDirectory, 'wal-push', repositoryId);
    this.#path = join(this.#directory, `followed-${of.system}-${of.cluster}`);
  }

  /** `null` when nothing is remembered, or nothing that can be read. */
  async read(): Promise<string | null> {
    try {
      const text = (await readFile(this.#path, 'utf8')).trim();
      return /^[0-9a-f]{64}$/.test(text) ? text : null;
    } catch {
      return null;
    }
  }

  /** Errors: STATE_UNWRITABLE. */
  async write(lineage: string): Promise<void> {
    if ((await this.read()) === lineage) return;
    await makeStateDirectory(this.#directory);
    await replaceFile(this.#path, `${lineage}\n`);
  }

  /** The same, for whoever does not need the note. Never throws. */
  async note(lineage: string): Promise<void> {
    try {
      await this.write(lineage);
    } catch {
      // The directory cannot be written: then whoever begins while the primary is away waits for it or ends, and says why.
    }
  }
}

/** What a backup was taken in while the primary answered is what is followed from here. Never throws. */
export async function noteFollowed(
  stateDirectory: string,
  repositoryId: string,
  { cluster, wal }: Pick<SnapshotRecord, 'cluster' | 'wal'>,
): Promise<void> {
  await new FollowedLineage(stateDirectory, repositoryId, { system: wal.system, cluster }).note(wal.lineage);
}

/** The lineage that was last followed from here; `null` when nothing is remembered, or nothing that can be read. */
export function readFollowed(
  stateDirectory: string,
  repositoryId: string,
  of: { system: string; cluster: string },
): Promise<string | null> {
  return new FollowedLineage(stateDirectory, repositoryId, of).read();
}
