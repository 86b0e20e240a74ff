import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * How many objects wait in a directory of spools for a repository, as seen by whoever does not hand them over; what cannot be looked at counts as
 * nothing, as it is no word about the repository.
 */
export async function countSpooled(directory: string, repositoryId: string): Promise<number> {
  const options = { recursive: true, withFileTypes: true } as const;
  const found = await readdir(join(directory, repositoryId, 'wal'), options).catch(() => []);
  return found.filter((entry) => entry.isFile()).length;
}
