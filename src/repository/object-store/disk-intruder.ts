import { randomBytes } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import { type Attempt, attempt, type Intruder } from './intruder.ts';

/**
 * Whoever may write to a directory, by the system's own calls. A disk keeps no versions and no locks: what a writer may store it may take away, and root may do anything.
 */
export function openDiskIntruder(directory: string): Intruder {
  const onBait = (id: Attempt['id'], run: (path: string) => Promise<void>): Attempt => ({
    ...{ id, on: 'bait' },
    run: (bait) => attempt(() => run(join(directory, bait)), isDenial),
  });
  return {
    attempts: [
      onBait('overwrite', (path) => writeFile(path, randomBytes(64))),
      onBait('overwrite-by-copy', async (path) => {
        await writeFile(`${path}.attack`, randomBytes(64));
        await rename(`${path}.attack`, path);
      }),
      onBait('delete', (path) => rm(path)),
    ],
    // What is left of a bait is the bait.
    tidy: async () => {},
    close: () => {},
  };
}

function isDenial(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error) ?? '');
}
