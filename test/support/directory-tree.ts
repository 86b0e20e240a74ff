import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * What a directory holds, by path: the mode and the SHA-256 of each file, the mode of each directory, the target of each link. Two directories
 * are the same when their listings are. Names in `without` are left out, wherever they stand at the top.
 */
export async function describeTree(directory: string, without: readonly string[] = []): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of (await readdir(directory)).sort()) {
    if (!without.includes(name)) await describe(directory, name, found);
  }
  return found;
}

async function describe(root: string, path: string, found: Map<string, string>): Promise<void> {
  const absolute = join(root, path);
  const stats = await lstat(absolute);
  const mode = (stats.mode & 0o777).toString(8);
  if (stats.isSymbolicLink()) found.set(path, `link to ${await readlink(absolute)}`);
  else if (stats.isDirectory()) {
    found.set(path, `directory ${mode} of ${stats.uid}`);
    for (const name of (await readdir(absolute)).sort()) await describe(root, join(path, name), found);
  } else {
    const digest = createHash('sha256')
      .update(await readFile(absolute))
      .digest('hex');
    found.set(path, `file ${mode} of ${stats.uid} ${digest}`);
  }
}
