import { type Clock, HoldfastError } from '../../../lib/index.ts';
import type { ConnectionTarget, ControlFile } from '../../../postgres/index.ts';
import { DirectSession, proveDirectory } from '../direct/index.ts';
import type { CheckedServer } from './check-server.ts';

/** The way to the server's files on this machine, and the session that will hold it in backup mode. */
export interface DirectAccess extends AsyncDisposable {
  readonly session: DirectSession;
  /** What stands before the server's absolute paths here: nothing, unless it sees another root than we do. */
  readonly root: string;
  /** As it is reached from here. */
  readonly dataDirectory: string;
  /** What `pg_control` said when the directory was proved. */
  readonly control: ControlFile;
}

/** After which the server may still be on this machine, with a root of its own. */
const ELSEWHERE_CODES: ReadonlySet<string> = new Set([
  ...['BACKUP_DIRECT_NOT_HERE', 'BACKUP_DIRECT_NO_DATA', 'BACKUP_DIRECT_OTHER_SERVER'],
]);

/**
 * Makes sure, before anything is written, that the server's files lie here, are its own, and may be read, and that the role may put it into backup mode.
 *
 * Errors: those of `DirectSession` and `proveDirectory`.
 */
export async function openDirect(options: {
  source: ConnectionTarget;
  server: CheckedServer;
  clock: Clock;
  signal?: AbortSignal;
}): Promise<DirectAccess> {
  const session = await DirectSession.open(options);
  try {
    const dataDirectory = await session.dataDirectory();
    await session.requireRights();
    const found = await findDirectory(dataDirectory, { session, systemId: options.server.identity.systemId });
    return { session, ...found, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

/** The directory at the server's own path; else below the root of the server's process, which may lie in a container or a chroot. Errors: of the first. */
async function findDirectory(
  path: string,
  proof: { session: DirectSession; systemId: string },
): Promise<Pick<DirectAccess, 'root' | 'dataDirectory' | 'control'>> {
  try {
    return { root: '', dataDirectory: path, control: await proveDirectory(path, proof) };
  } catch (error) {
    if (!(error instanceof HoldfastError) || !ELSEWHERE_CODES.has(error.code)) throw error;
    const root = `/proc/${proof.session.processId}/root`;
    try {
      return { root, dataDirectory: `${root}${path}`, control: await proveDirectory(`${root}${path}`, proof) };
    } catch {
      // Another machine, another system, or a process that is closed to us: what was found at the path itself is what a person can mend.
      throw error;
    }
  }
}
