import { chmod, chown, lchown, lstat, mkdir, readdir, readlink, rm, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import type { RestoreMarker } from '../restore-marker.ts';
import { syncDirectory } from '../spool/index.ts';
import type { ClaimedTarget } from './claim-target.ts';
import {
  emptyTablespace,
  isTablespaceMarkedBy,
  makeTablespaceDirectory,
  markTablespace,
  TABLESPACE_MARKER,
} from './inspect-tablespaces.ts';

const LINKS = 'pg_tblspc';

/**
 * Makes the directory of each tablespace, marks it as ours and links it, so that every file of it is reached through the link from here on.
 *
 * Links that are not of this restore are removed before: recovery, which follows them, must not come into the directories of another server.
 */
export async function claimTablespaces(target: ClaimedTarget, proposal: RestoreProposal): Promise<void> {
  const { owner, path: into } = target;
  const links = join(into, LINKS);
  await mkdir(links, { recursive: true, mode: 0o700 });
  if (owner !== undefined) await chown(links, owner.uid, owner.gid);
  const wanted = new Map(proposal.tablespaces.map(({ oid, path }) => [String(oid), path]));
  for (const name of await readdir(links)) await removeUnless(join(links, name), wanted.get(name));
  for (const [oid, path] of wanted) {
    if (path === null) continue;
    await makeMissing(path);
    await chmod(path, 0o700);
    if (owner !== undefined) await chown(path, owner.uid, owner.gid);
    await markTablespace(path, { repository: proposal.madeFrom.repository, dataDirectory: into });
    await syncDirectory(path);
    await link(path, join(links, oid));
    if (owner !== undefined) await lchown(join(links, oid), owner.uid, owner.gid);
  }
  await syncDirectory(links);
}

/** A link that leads to the wanted place stays, and so does the directory of a tablespace that lies here; anything else goes. */
async function removeUnless(link: string, wanted: string | null | undefined): Promise<void> {
  const isLink = (await lstat(link)).isSymbolicLink();
  if (isLink && typeof wanted === 'string' && (await readlink(link)) === wanted) return;
  if (!isLink && wanted === null) return;
  if (isLink) await unlink(link);
  else await rm(link, { recursive: true });
}

async function makeMissing(path: string): Promise<void> {
  try {
    await makeTablespaceDirectory(path);
    await syncDirectory(dirname(path));
    await syncDirectory(dirname(dirname(path)));
  } catch (error) {
    // It was looked at before: what is there is empty, or ours.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

async function link(path: string, at: string): Promise<void> {
  try {
    await symlink(path, at);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Empties the tablespaces of a restore that was broken off; the caller leaves out those that are used again. */
export async function emptyLeftTablespaces(into: string, marker: RestoreMarker): Promise<void> {
  for (const { path } of marker.tablespaces) {
    if (await isTablespaceMarkedBy(path, { into, repository: marker.repository })) await emptyTablespace(path);
  }
}

/** Takes the marks away, once the restore is complete: now the directories are the server's. */
export async function releaseTablespaces(target: ClaimedTarget): Promise<void> {
  for (const { path } of target.marker.tablespaces) await rm(join(path, TABLESPACE_MARKER), { force: true });
}
