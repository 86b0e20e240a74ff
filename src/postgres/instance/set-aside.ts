import { chown, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';

const AUTOMATIC = 'postgresql.auto.conf';
const ASIDE = 'postgresql.auto.conf.holdfast-aside';

/**
 * Takes away what ALTER SYSTEM wrote in production: the server reads it from the data directory, whatever configuration it is
 * started with. An empty file stands there meanwhile. Safe to repeat: a file that is already aside stays.
 */
export async function setConfigurationAside(dataDirectory: string): Promise<void> {
  const path = join(dataDirectory, AUTOMATIC);
  const aside = join(dataDirectory, ASIDE);
  if (await exists(aside)) return;
  if (!(await exists(path))) return;
  await rename(path, aside);
  const { uid, gid, mode } = await stat(aside);
  await writeFile(path, '# Set aside by Holdfast while the server runs in isolation.\n', { mode: mode & 0o777 });
  if (process.getuid?.() === 0) await chown(path, uid, gid);
}

/** Puts back what `setConfigurationAside` took away; nothing to do when nothing is aside. Safe to repeat. */
export async function putBackConfiguration(dataDirectory: string): Promise<void> {
  const aside = join(dataDirectory, ASIDE);
  if (await exists(aside)) await rename(aside, join(dataDirectory, AUTOMATIC));
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
