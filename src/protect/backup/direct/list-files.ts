import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir, readlink } from 'node:fs/promises';
import { posix } from 'node:path';
import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { readFailed } from './direct-error.ts';
import { isEmptied, isLeftOut, isVolatileRelation, unloggedRelationOf } from './exclusions.ts';

/** A tablespace that lies outside the data directory, as its link there says. */
export interface ListedTablespace {
  readonly oid: number;
  /** As the server names it: absolute, or `pg_tblspc/<oid>` for one that was made in place. */
  readonly location: string;
}

/** What stands in a data directory, by its path in a snapshot's tree. */
export type ListedEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly mtimeMs: number }
  /** `from`: where it lies on this machine. Whether it is still there shows when it is opened. */
  | { readonly kind: 'file'; readonly path: string; readonly from: string }
  /** A link, socket or device, which no backup has. */
  | { readonly kind: 'other'; readonly path: string };

/** Where the server's files are reached from here. */
export interface FilesView {
  /** What stands before the server's absolute paths. */
  readonly root: string;
  readonly dataDirectory: string;
}

interface ListOptions extends FilesView {
  readonly tablespaces: readonly ListedTablespace[];
  /** The directory of this version in each tablespace, such as `PG_18_202506291`. */
  readonly versionDirectory: string;
}

/** `pg_control` comes when all else was read. */
const CONTROL_FILE = 'data/global/pg_control';
const WAL_DIRECTORY = 'data/pg_wal';
const LINKS_DIRECTORY = 'data/pg_tblspc';
const DATABASE_DIRECTORY = /^(data\/base|space\/[0-9]+\/PG_[^/]+)\/[0-9]+$/;
const DIRECTORY_MODE = 0o700;
/** Names that are asked of the system at once. */
const ENTRIES_AT_ONCE = 512;
/** What stands for bytes of a name that are no UTF-8: under such a name nothing is found, and that is not to be taken for a file that vanished. */
const NOT_UTF8 = '\uFFFD';
const NAME_NOT_UTF8 = new Error('the name is not valid UTF-8');
/** Time stamps of tar archives have no smaller unit, and a file shall have the same one by either way. */
export const MTIME_UNIT_MS = 1000;

/** The tablespaces that have a link, or a directory, in `pg_tblspc`. Errors: BACKUP_DIRECT_READ_FAILED, BACKUP_DIRECT_CLOSED. */
export async function listTablespaces(dataDirectory: string): Promise<ListedTablespace[]> {
  const found: ListedTablespace[] = [];
  for await (const entry of entriesOf(posix.join(dataDirectory, 'pg_tblspc'))) {
    if (!/^[1-9][0-9]*$/.test(entry.name)) continue;
    const name = posix.join('pg_tblspc', entry.name);
    const location = entry.isSymbolicLink()
      ? await ifThere((path) => readlink(path), posix.join(dataDirectory, name))
      : name;
    if (location !== null) found.push({ oid: Number(entry.name), location });
  }
  return found;
}

/** Where a tablespace is reached from here. */
export function tablespacePath({ root, dataDirectory }: FilesView, { location }: ListedTablespace): string {
  return posix.isAbsolute(location) ? posix.normalize(`${root}${location}`) : posix.join(dataDirectory, location);
}

/**
 * Lists what a backup has of a data directory and its tablespaces, directories before what is in them. What vanishes meanwhile is not listed.
 *
 * Errors: BACKUP_DIRECT_READ_FAILED, BACKUP_DIRECT_CLOSED. Source: PostgreSQL 14 to 18, basebackup.c, sendDir and sendTablespace.
 */
export async function* listFiles(options: ListOptions): AsyncGenerator<ListedEntry, void> {
  const { dataDirectory, tablespaces, versionDirectory } = options;
  // A tablespace inside the data directory is not taken twice.
  const elsewhere = new Set(tablespaces.map((one) => tablespacePath(options, one)));
  for (const tablespace of tablespaces) {
    const { oid } = tablespace;
    const from = posix.join(tablespacePath(options, tablespace), versionDirectory);
    const top = { path: `space/${oid}/${versionDirectory}`, from };
    yield { kind: 'directory', path: `space/${oid}`, mode: DIRECTORY_MODE, mtimeMs: 0 };
    const found = await ifThere(look, from);
    if (found === null) continue;
    yield directoryOf(top.path, found);
    yield* listDirectory(top, elsewhere);
  }
  yield { kind: 'directory', path: 'data', mode: DIRECTORY_MODE, mtimeMs: 0 };
  yield* listDirectory({ path: 'data', from: dataDirectory }, elsewhere);
}

async function* listDirectory(
  directory: { path: string; from: string },
  elsewhere: ReadonlySet<string>,
): AsyncGenerator<ListedEntry, void> {
  const isDatabase = DATABASE_DIRECTORY.test(directory.path);
  const unlogged = isDatabase ? await findUnlogged(directory.from) : new Set<string>();
  for await (const entry of entriesOf(directory.from)) {
    const { name } = entry;
    const [path, from] = [`${directory.path}/${name}`, posix.join(directory.from, name)];
    if (isLeftOut(name) || path === CONTROL_FILE || (isDatabase && isVolatileRelation(name, unlogged))) continue;
    if (name.includes(NOT_UTF8) && (await ifThere(look, from)) === null) throw readFailed(from, NAME_NOT_UTF8);
    if (entry.isFile()) yield { kind: 'file', path, from };
    else yield* listOther({ path, from, name }, entry, elsewhere);
  }
}

async function* listOther(
  { path, from, name }: { path: string; from: string; name: string },
  entry: Dirent,
  elsewhere: ReadonlySet<string>,
): AsyncGenerator<ListedEntry, void> {
  const keepsEmpty = isEmptied(name) || path === WAL_DIRECTORY;
  const isLink = entry.isSymbolicLink();
  if (!entry.isDirectory() && !(isLink && keepsEmpty)) {
    yield { kind: 'other', path };
    return;
  }
  const found = await ifThere(look, from);
  if (found === null) return;
  // These may be links to another disk; a restored server has directories.
  const listed = isLink ? { ...directoryOf(path, found), mode: DIRECTORY_MODE } : directoryOf(path, found);
  yield listed;
  if (path === WAL_DIRECTORY) yield* emptyWalDirectories(listed, from);
  else if (!keepsEmpty && path !== LINKS_DIRECTORY && !elsewhere.has(from)) {
    yield* listDirectory({ path, from }, elsewhere);
  }
}

/** Those that the server has in `pg_wal`: 14 to 16 make `archive_status`, later ones `summaries` too. */
async function* emptyWalDirectories(
  wal: ListedEntry & { kind: 'directory' },
  from: string,
): AsyncGenerator<ListedEntry, void> {
  for (const name of ['archive_status', 'summaries']) {
    if ((await ifThere(look, posix.join(from, name))) !== null) yield { ...wal, path: `${wal.path}/${name}` };
  }
}

function directoryOf(path: string, found: Stats): ListedEntry & { kind: 'directory' } {
  const mtimeMs = Math.floor(found.mtimeMs / MTIME_UNIT_MS) * MTIME_UNIT_MS;
  return { kind: 'directory', path, mode: found.mode & 0o7777, mtimeMs };
}

/** Read by itself before the files are, so that a directory of a million files is never whole in memory. */
async function findUnlogged(directory: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for await (const { name } of entriesOf(directory)) {
    const relation = unloggedRelationOf(name);
    if (relation !== null) found.add(relation);
  }
  return found;
}

/**
 * The names of the databases' directories in a tablespace; null when there is no directory of this version. Errors: BACKUP_DIRECT_READ_FAILED,
 * BACKUP_DIRECT_CLOSED.
 */
export async function listDatabases(
  view: FilesView & { versionDirectory: string },
  tablespace: ListedTablespace,
): Promise<ReadonlySet<string> | null> {
  const directory = posix.join(tablespacePath(view, tablespace), view.versionDirectory);
  if ((await ifThere(look, directory)) === null) return null;
  const names = new Set<string>();
  for await (const { name } of entriesOf(directory)) names.add(name);
  return names;
}

/** What is in a directory, a part at a time; nothing in one that is not there. Errors: as `ifThere`. */
async function* entriesOf(directory: string): AsyncGenerator<Dirent, void> {
  const opened = await ifThere((path) => opendir(path, { bufferSize: ENTRIES_AT_ONCE }), directory);
  if (opened === null) return;
  try {
    for await (const entry of opened) yield entry;
  } catch (error) {
    throw error instanceof HoldfastError ? error : readFailed(directory, error);
  }
}

const look = (path: string): Promise<Stats> => lstat(path);

/** Null only for what is not there: any other error of the system is one. */
async function ifThere<Found>(ask: (path: string) => Promise<Found>, path: string): Promise<Found | null> {
  try {
    return await ask(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw readFailed(path, error);
  }
}
