import { constants, existsSync, readdirSync } from 'node:fs';
import {
  access,
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { whyTablespaceInUse } from '../../postgres/index.ts';
import { isWithin, type PlacedTablespace } from '../tablespaces.ts';

/** A place where a tablespace is restored, as it was found. */
export interface TablespacePlace {
  readonly oid: number;
  readonly path: string;
  /** `used`: holds a tablespace that a delta goes over, or what a broken-off restore of ours left. */
  readonly state: 'missing' | 'empty' | 'used';
  readonly device: number;
  readonly freeBytes: number;
}

/** Says in a tablespace's directory, while a restore is not finished, whose it is. */
export const TABLESPACE_MARKER = 'holdfast-tablespace.json';

const marker = z.object({ repository: z.string(), dataDirectory: z.string() });

/** The one directory that a server of some version makes in a tablespace. */
const VERSION_DIRECTORY = /^PG_[0-9]+_[0-9]+$/;

/**
 * Looks at the places of tablespaces without changing anything. Each must be missing, empty, left over from a restore of ours into the same
 * directory, or, for a delta, the one that the directory itself uses; and no running server may have a tablespace there.
 *
 * Errors: RESTORE_TABLESPACE_PLACE_UNUSABLE.
 */
export async function inspectTablespaces(options: {
  placed: readonly PlacedTablespace[];
  into: string;
  repository: string;
  /** Whether the tablespaces of the directory itself are gone over. */
  delta: boolean;
}): Promise<TablespacePlace[]> {
  const places: TablespacePlace[] = [];
  for (const { oid, path } of options.placed) {
    if (path !== null) places.push(await inspectOne(oid, path, options));
  }
  await refuseShared(places, options.into);
  return places;
}

/** Paths that differ may lead to one directory: there files of the same names would be written over each other. */
async function refuseShared(places: readonly TablespacePlace[], into: string): Promise<void> {
  const taken = [{ what: 'the data directory', path: await realPathOf(into) }];
  for (const { oid, path } of places) {
    const real = await realPathOf(path);
    const other = taken.find((known) => isWithin(real, known.path) || isWithin(known.path, real));
    if (other !== undefined) {
      const detail = `Expected a directory of its own, but it leads to "${real}", where ${other.what} is.`;
      throw unusable(oid, path, detail, OTHER_PLACE);
    }
    taken.push({ what: `tablespace ${oid}`, path: real });
  }
}

/** Without symbolic links, as far as it is there. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return join(await realPathOf(dirname(path)), basename(path));
  }
}

/**
 * Directories of other versions in a tablespace's directory: after pg_upgrade the old cluster has its files beside the new one's, and a restore
 * has no business with them. A directory that is not there has none.
 */
export function listOtherVersions(path: string, major: number): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path).filter((name) => VERSION_DIRECTORY.test(name) && !name.startsWith(`PG_${major}_`));
}

async function inspectOne(
  oid: number,
  path: string,
  options: { into: string; repository: string; delta: boolean },
): Promise<TablespacePlace> {
  const inUse = await whyTablespaceInUse(path);
  if (inUse !== null) throw unusable(oid, path, inUse, 'Choose another place for it with --tablespace.');
  const names = await listNames(oid, path);
  if (names === null) {
    // Its parent may be missing as well when that is the common directory of all.
    const holder = await existingParent(oid, path);
    return { oid, path, state: 'missing', ...(await describeVolume(holder)) };
  }
  await requireWritable(oid, path);
  const volume = await describeVolume(path);
  if (names.length === 0) return { oid, path, state: 'empty', ...volume };
  const foreign = names.filter((name) => name !== TABLESPACE_MARKER && !VERSION_DIRECTORY.test(name));
  const isOurs =
    (await isTablespaceMarkedBy(path, options)) || (options.delta && (await isLinkedFrom(options.into, oid, path)));
  if (foreign.length === 0 && isOurs) return { oid, path, state: 'used', ...volume };
  const found = (foreign.length === 0 ? names : foreign).slice(0, 3).map((name) => `"${name}"`);
  throw unusable(
    oid,
    path,
    `Expected an empty directory or none, found ${found.join(', ')}.`,
    'Choose another place for it with --tablespace, or look into this one and empty it yourself.',
  );
}

async function listNames(oid: number, path: string): Promise<string[] | null> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw unusable(oid, path, `Expected a directory or nothing: ${messageOf(error)}.`, OTHER_PLACE);
  }
}

/** The directory in which the place will be made: its parent, or, when that is to be made too, the parent of that. */
async function existingParent(oid: number, path: string): Promise<string> {
  for (const parent of [dirname(path), dirname(dirname(path))]) {
    try {
      await access(parent, constants.W_OK | constants.X_OK);
      return parent;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') continue;
      throw unusable(oid, path, `Expected to be allowed to make it: ${messageOf(error)}.`, OTHER_PLACE);
    }
  }
  // Not made here: a parent that is missing is often a disk that is not mounted.
  const detail = `Expected the directory "${dirname(path)}", found none.`;
  throw unusable(oid, path, detail, 'Check that its disk is mounted, or make it first.');
}

async function requireWritable(oid: number, path: string): Promise<void> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable(oid, path, `Expected to be allowed to write there: ${messageOf(error)}.`, OTHER_PLACE);
  }
}

/** A file system by its device, and what an unprivileged process may still write on it. */
export async function describeVolume(path: string): Promise<{ device: number; freeBytes: number }> {
  const { dev } = await stat(path);
  const { bavail, bsize } = await statfs(path);
  return { device: dev, freeBytes: bavail * bsize };
}

/** Whether a restore of ours into this data directory has made the place its own. */
export async function isTablespaceMarkedBy(
  path: string,
  options: { into: string; repository: string },
): Promise<boolean> {
  try {
    const found = marker.parse(JSON.parse(await readFile(join(path, TABLESPACE_MARKER), 'utf8')));
    return found.dataDirectory === options.into && found.repository === options.repository;
  } catch {
    // Safe: without a marker that can be read the place is not ours, and is refused.
    return false;
  }
}

/** Whether the data directory has its tablespace exactly there. */
async function isLinkedFrom(into: string, oid: number, path: string): Promise<boolean> {
  const link = join(into, 'pg_tblspc', String(oid));
  try {
    if (!(await lstat(link)).isSymbolicLink()) return false;
    const [there, here] = await Promise.all([stat(link), stat(path)]);
    return there.dev === here.dev && there.ino === here.ino;
  } catch {
    // Safe: a link that leads nowhere does not lead here.
    return false;
  }
}

/** Writes into a tablespace's directory whose it is, so that a repetition knows it. */
export async function markTablespace(path: string, value: z.infer<typeof marker>): Promise<void> {
  await writeFile(join(path, TABLESPACE_MARKER), `${JSON.stringify(value)}\n`, { mode: 0o600 });
}

/** Removes what a broken-off restore left in a tablespace's directory, its mark last; only what a server or we have made there. */
export async function emptyTablespace(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (VERSION_DIRECTORY.test(name)) await rm(join(path, name), { recursive: true, force: true });
  }
  await rm(join(path, TABLESPACE_MARKER), { force: true });
}

/** Makes a tablespace's directory, and the common one above it when that is missing too. */
export async function makeTablespaceDirectory(path: string): Promise<void> {
  const made = await mkdir(dirname(path), { recursive: true });
  // The server has to walk through it, whatever our umask; what lies in it is closed.
  if (made !== undefined) await chmod(dirname(path), 0o755);
  await mkdir(path, { mode: 0o700 });
}

const OTHER_PLACE = 'Choose another place for it with --tablespace.';

function unusable(oid: number, path: string, detail: string, hint: string): HoldfastError {
  return new HoldfastError('RESTORE_TABLESPACE_PLACE_UNUSABLE', `cannot restore tablespace ${oid} to "${path}"`, {
    detail,
    hints: [hint],
  });
}
