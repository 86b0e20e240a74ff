import { access, constants, readFile, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { codeOf, messageOf } from '../../../lib/index.ts';
import { type ControlFile, readControlFile } from '../../../postgres/index.ts';
import { closedToUs, noData, notHere, otherServer, tablespaceNotHere } from './direct-error.ts';
import type { DirectSession } from './direct-session.ts';
import { type FilesView, type ListedTablespace, listDatabases, tablespacePath } from './list-files.ts';

/**
 * Proves that a directory of this machine is the one in which the session's server works at this moment, and that we may read it; gives what its
 * `pg_control` says.
 *
 * A path and a system identifier prove nothing: a standby, a copy or a server in a container has the same. So the server is made to write a file, which
 * must appear here and vanish again.
 *
 * Errors: BACKUP_DIRECT_NOT_HERE, BACKUP_DIRECT_NO_DATA, BACKUP_DIRECT_OTHER_SERVER, BACKUP_DIRECT_CLOSED; PG_CONTROL_FILE_UNSUPPORTED.
 */
export async function proveDirectory(
  directory: string,
  { session, systemId }: { session: DirectSession; systemId: string },
): Promise<ControlFile> {
  await requireDirectory(directory, session);
  const control = await readControl(directory);
  if (control.systemId !== systemId) {
    throw otherServer(directory, `That has the system identifier ${systemId}, and what is here ${control.systemId}.`);
  }
  const mark = await session.withMark(async (name) => {
    const path = posix.join(directory, name);
    return { path, isOurs: (await readMark(path))?.includes(`\npid:${session.processId}\n`) === true };
  });
  if (!mark.isOurs || (await readMark(mark.path)) !== null) {
    throw otherServer(
      directory,
      'It has the same system identifier, and a file that the server wrote did not appear here: this is a standby or a copy of it.',
    );
  }
  return control;
}

/**
 * Makes sure that a tablespace is reached from here and is that of the server: a directory that is missing here would pass for a tablespace that was
 * dropped, and all that is in it for nothing.
 *
 * Errors: BACKUP_DIRECT_TABLESPACE_NOT_HERE, BACKUP_DIRECT_CLOSED, BACKUP_DIRECT_READ_FAILED.
 */
export async function proveTablespace(
  view: FilesView & { versionDirectory: string },
  { session, tablespace }: { session: DirectSession; tablespace: ListedTablespace },
): Promise<void> {
  const path = tablespacePath(view, tablespace);
  const here = await listDatabases(view, tablespace);
  const there = await session.databasesIn(tablespace.oid);
  // It was dropped meanwhile.
  if (there === null) return;
  if (here === null) throw tablespaceNotHere(path, `It has no "${view.versionDirectory}" here.`);
  const missing = there.filter((oid) => !here.has(oid));
  if (missing.length === 0) return;
  // Of a database that was dropped meanwhile there is nothing any more.
  const still = await session.databasesIn(tablespace.oid);
  const lacking = missing.filter((oid) => still?.includes(oid));
  if (lacking.length > 0) throw tablespaceNotHere(path, `The database ${lacking[0]} has files in it, and none here.`);
}

async function requireDirectory(directory: string, session: DirectSession): Promise<void> {
  try {
    const found = await stat(directory);
    if (!found.isDirectory()) throw noData(directory, 'something that is no directory');
    await access(directory, constants.R_OK | constants.X_OK);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw notHere(directory, session.server);
    throw code === 'EACCES' ? closedToUs(directory, error) : error;
  }
}

async function readControl(directory: string): Promise<ControlFile> {
  try {
    return await readControlFile(directory);
  } catch (error) {
    const system = codeOf((error as Error).cause);
    if (system === 'EACCES' || system === 'EPERM') throw closedToUs(directory, (error as Error).cause);
    if (system === 'ENOENT' || system === 'ENOTDIR') throw noData(directory, 'no "global/pg_control"');
    if (codeOf(error) === 'PG_CONTROL_FILE_INVALID')
      throw noData(directory, `this of its pg_control: ${messageOf(error)}`);
    throw error;
  }
}

/** The file of an exported snapshot; null when it is not there. */
async function readMark(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw codeOf(error) === 'EACCES' ? closedToUs(path, error) : error;
  }
}
