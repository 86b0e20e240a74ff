import { execFile } from 'node:child_process';
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, HoldfastError } from '../../lib/index.ts';
import { findServerBinaries } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import type { Owner } from '../spool/index.ts';
import type { TargetPlace } from './inspect-target.ts';
import type { StartOptions } from './recover-instance.ts';

/** Who shall own what is restored, and with which programs its server is started. */
export interface PreparedStart {
  /** Undefined leaves the files to whoever runs us. */
  readonly owner: Owner | undefined;
  /** Null when no server is to be started. */
  readonly binDirectory: string | null;
}

/**
 * Settles before the first byte is restored what would otherwise stop the restore at its end: that the server's programs are here, that there
 * is a user to run them, and that this user can enter the directory.
 *
 * Errors: PG_SERVER_BINARIES_NOT_FOUND, RESTORE_OWNER_NEEDED, RESTORE_TARGET_CLOSED.
 */
export async function prepareStart(options: {
  proposal: RestoreProposal;
  place: TargetPlace;
  start: StartOptions | undefined;
  owner: Owner | undefined;
}): Promise<PreparedStart> {
  const { proposal, place, start } = options;
  const owner = await chooseOwner(options.owner, place.owner, start !== undefined);
  if (start === undefined) return { owner, binDirectory: null };
  const places = [place.path, ...proposal.tablespaces.flatMap(({ path }) => (path === null ? [] : [path]))];
  if (owner !== undefined) for (const path of places) await requireEnterable(path, owner);
  const hints = start.binDirectory === undefined ? {} : { directories: [start.binDirectory] };
  const { binDirectory } = await findServerBinaries(proposal.snapshot.serverMajor, hints);
  return { owner, binDirectory };
}

const run = promisify(execFile);

/** Users under whom a server may run when nobody is named and we are root, in the order of preference. */
const SERVER_USERS = ['postgres', 'nobody'];

/** Who shall own the restored files: as root never root, when a server is to be started. Undefined leaves them to whoever runs us. */
async function chooseOwner(named: Owner | undefined, place: Owner, start: boolean): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  if (named !== undefined) return named;
  if (place.uid !== 0) return place;
  if (!start) return undefined;
  for (const name of SERVER_USERS) {
    const owner = await findUser(name);
    if (owner !== undefined) return owner;
  }
  throw new HoldfastError('RESTORE_OWNER_NEEDED', 'cannot start a server as root', {
    detail: `Expected a user ${SERVER_USERS.map((name) => `"${name}"`).join(' or ')} on this machine, found none.`,
    hints: ['Make the directory first, and give it to the user who is to run the server.'],
  });
}

async function findUser(name: string): Promise<Owner | undefined> {
  try {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, name])).stdout)),
    );
    return uid === undefined || gid === undefined ? undefined : { uid, gid };
  } catch {
    // There is no such user; the next name is tried, and the last error says which were.
    return undefined;
  }
}

/** A server that we start has one user and one group, so that the mode of each directory on the way says whether it gets there. */
async function requireEnterable(place: string, owner: Owner): Promise<void> {
  for (let path = dirname(place); path !== dirname(path); path = dirname(path)) {
    const found = await statOrNull(path);
    // The common directory of tablespaces is made by the restore, so that everybody can walk through it.
    if (found === null) continue;
    const { uid, gid, mode } = found;
    const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
    if ((mode & bit) !== 0) continue;
    throw new HoldfastError('RESTORE_TARGET_CLOSED', `cannot start a server in "${place}"`, {
      detail: `User ${owner.uid}, who is to run it, cannot enter "${path}".`,
      hints: ['Choose a directory that this user can reach, or open the way to it (chmod o+x).'],
    });
  }
}

async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
