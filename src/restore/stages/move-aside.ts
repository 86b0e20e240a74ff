import { chown, copyFile, mkdir, readdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import { ASIDE_PREFIX, isMarkerName } from '../restore-marker.ts';
import { SPOOL_DIRECTORY, syncDirectory } from '../spool/index.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { CONTROL_FILE } from './extract-files.ts';
import { exists } from './inspect-target.ts';

/**
 * What is gone over in its place: the data itself, and directories of which a backup takes nothing and whose files are worth nothing after a
 * restart. Everything else at the top, above all the WAL, is moved aside.
 */
const GONE_OVER = [
  'PG_VERSION',
  'base',
  'global',
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_multixact',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_xact',
];

/** With one of these a server would begin to recover or to follow; they go directly behind the control file. */
const SIGNS = ['backup_label', 'recovery.signal', 'standby.signal', 'postmaster.pid', 'tablespace_map'];
const WAL = 'pg_wal';

/**
 * Takes everything out of the way that does not belong to the data, in the order of rule A12: first `pg_control`, so that no server starts on
 * what follows; then what would change how a server recovers; then the WAL, which may hold more than the repository and is never deleted. All
 * of it is renamed into one directory in here, which is laid out as a data directory, so that its WAL can still be rescued from it.
 *
 * `made` are names that an earlier attempt made itself: these stay, and are gone over like data. Not when there is a `pg_control`: since then
 * a server may have run, and what is there is its own.
 */
export async function moveAside(target: ClaimedTarget, made: readonly string[]): Promise<void> {
  const { path, owner, marker } = target;
  const { name } = marker.aside!;
  const aside = join(path, name);
  for (const directory of [aside, join(aside, 'global'), join(path, 'global')]) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (owner !== undefined) await chown(directory, owner.uid, owner.gid);
  }
  await syncDirectory(path);
  const hadControlFile = await exists(join(path, CONTROL_FILE));
  if (hadControlFile) {
    // So that the directory aside is taken for what it is by whoever rescues the WAL in it.
    await copyFile(join(path, 'PG_VERSION'), join(aside, 'PG_VERSION'));
    await moveInto(join(path, 'global'), join(aside, 'global'), basename(CONTROL_FILE));
  }
  for (const directory of [join(aside, 'global'), aside, join(path, 'global')]) await syncDirectory(directory);

  const stays = new Set([...GONE_OVER, SPOOL_DIRECTORY, name]);
  if (!hadControlFile) for (const own of made) stays.add(own);
  // What earlier deltas moved aside stays where a person was told that it is.
  const found = (await readdir(path)).filter(
    (entry) => !stays.has(entry) && !isMarkerName(entry) && !entry.startsWith(ASIDE_PREFIX),
  );
  const inOrder = [...SIGNS, WAL].filter((entry) => found.includes(entry));
  for (const entry of inOrder) await moveInto(path, aside, entry);
  await syncDirectory(aside);
  await syncDirectory(path);
  for (const entry of found) if (!inOrder.includes(entry)) await moveInto(path, aside, entry);
  await syncDirectory(aside);
  await syncDirectory(path);
  await target.markAsideComplete();
}

/** Under another name when the first one is taken, as after an attempt that was broken off: nothing that lies aside is replaced. */
async function moveInto(path: string, aside: string, entry: string): Promise<void> {
  let name = entry;
  for (let number = 2; await exists(join(aside, name)); number++) name = `${entry}.${number}`;
  try {
    await rename(join(path, entry), join(aside, name));
  } catch (error) {
    // Gone since it was listed: there is nothing left to keep.
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
