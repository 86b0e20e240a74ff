import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { formatLsn, whyTablespaceInUse } from '../../postgres/index.ts';
import type { PlacedTablespace, StoredTablespace, TablespaceWishes } from '../tablespaces.ts';
import type { TablespaceInWal } from '../wal-survey.ts';

/** Wishes that say where tablespaces of the snapshot go, without those that only permit what the WAL makes. */
export function withoutPermits(
  wishes: TablespaceWishes,
  inWal: readonly TablespaceInWal[],
  stored: readonly StoredTablespace[],
): TablespaceWishes {
  const later = inWal.filter(({ oid }) => !stored.some((known) => known.oid === oid));
  return { ...wishes, mappings: wishes.mappings.filter((mapping) => !later.some((space) => isNamed(mapping, space))) };
}

/**
 * Refuses a recovery that would make a tablespace at a path of which nobody has said that it may.
 *
 * A CREATE TABLESPACE in the WAL names an absolute path. PostgreSQL replays it by putting the link to that path, and when a directory of its
 * version is there already, it goes on in it without a word: beside a living server, in that server's files. The path cannot be changed, as
 * it stands in the record. So it must be named with --tablespace, and be empty.
 *
 * Errors: RESTORE_TABLESPACE_IN_WAL.
 */
export async function checkWalTablespaces(options: {
  inWal: readonly TablespaceInWal[];
  wishes: TablespaceWishes;
  placed: readonly PlacedTablespace[];
  /** A server is started here; otherwise the directory may still be carried to another machine, and the path may be missing. */
  start: boolean;
}): Promise<void> {
  for (const space of options.inWal) {
    if (space.path === null) continue;
    // Restored to the very same path, it is settled with the tablespaces of the snapshot.
    if (options.placed.some(({ oid, path }) => oid === space.oid && path === space.path)) continue;
    const mapping = options.wishes.mappings.find((candidate) => isNamed(candidate, space));
    if (mapping !== undefined && resolve(mapping.path) !== resolve(space.path)) {
      throw refused(space, `It cannot be put at "${mapping.path}", as PostgreSQL reads the path from the WAL.`);
    }
    const state = await describePath(space.path);
    if (state !== null && (state !== MISSING || options.start)) throw refused(space, state);
    if (mapping === undefined) throw refused(space, 'Nothing may be written there unless you say so.');
  }
}

function isNamed({ which }: { which: string }, { oid, path }: TablespaceInWal): boolean {
  return which === String(oid) || (path !== null && which.startsWith('/') && resolve(which) === resolve(path));
}

const MISSING = 'The directory is missing, and PostgreSQL does not make it.';

/** What stands against a path, as a sentence; null for an empty directory that no server uses. */
async function describePath(path: string): Promise<string | null> {
  const inUse = await whyTablespaceInUse(path);
  if (inUse !== null) return inUse;
  try {
    const [name] = await readdir(path);
    return name === undefined ? null : `The directory is not empty: it holds "${name}", and may be another server's.`;
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? MISSING : `It cannot be looked into: ${messageOf(error)}.`;
  }
}

function refused({ oid, path, lsn }: TablespaceInWal, found: string): HoldfastError {
  return new HoldfastError(
    'RESTORE_TABLESPACE_IN_WAL',
    `refusing to let recovery make tablespace ${oid} at "${path}"`,
    {
      detail: `The WAL of this restore has a CREATE TABLESPACE at ${formatLsn(lsn)}, and replaying it makes the tablespace at that path, outside the restored directory. ${found}`,
      hints: [
        `To let it, make "${path}" as an empty directory of the server's user and add --tablespace ${oid}=${path}.`,
        `To do without it, restore to a position before ${formatLsn(lsn)}, from a snapshot taken after it, or on another machine.`,
      ],
    },
  );
}
