import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';

/** The line of postmaster.pid with key and id of the shared memory. Source: PostgreSQL, pidfile.h, LOCK_FILE_LINE_SHMEM_KEY. */
const SHARED_MEMORY_LINE = 6;

/** What `/proc/self/ns/pid` leads to where all processes of the machine are seen. Source: Linux, proc_ns.h, PROC_PID_INIT_INO. */
const WHOLE_MACHINE = 'pid:[4026531836]';

/**
 * Why a server may be running on a data directory, as a sentence; null when none is.
 *
 * It asks what PostgreSQL itself asks, the process in postmaster.pid and the users of its shared memory, and besides looks for processes of
 * PostgreSQL whose working directory it is: these are also seen when the server runs in a container with process numbers of its own. From inside
 * a container nothing of another one is seen, so that there a postmaster.pid counts, whatever number it has. A server on another machine, over a
 * network file system, is not seen by anything.
 */
export async function whyServerMayRun(dataDirectory: string): Promise<string | null> {
  const lines = await readLockFile(dataDirectory);
  const pid = Math.abs(Number(lines?.[0]));
  if (lines !== null && Number.isInteger(pid) && pid > 0 && isAlive(pid)) {
    return `Its postmaster.pid names process ${pid}, which is alive.`;
  }
  const memory = Number(lines?.[SHARED_MEMORY_LINE]?.trim().split(/\s+/)[1]);
  if (Number.isInteger(memory) && (await isMemoryInUse(memory))) {
    return `Its server is gone, but processes of it still use shared memory ${memory}.`;
  }
  const working = await findWorkingIn(dataDirectory);
  if (working !== undefined) return `Process ${working.pid} of PostgreSQL works in it.`;
  if (lines === null || (await seesWholeMachine())) return null;
  return 'It has a postmaster.pid, whose server may run in another container, where it is not seen from here: remove that file once you are sure that none does.';
}

/**
 * Why a running server may use a directory as a tablespace, as a sentence; null when none that can be seen does.
 * What a server has opened belongs to it, whatever directory the path was reached from.
 */
export async function whyTablespaceInUse(directory: string): Promise<string | null> {
  const wanted = await realpathOrNull(directory);
  if (wanted === null) return null;
  const seen = new Set<string>();
  for (const { pid, directory: dataDirectory } of await listServerProcesses()) {
    if (seen.has(dataDirectory)) continue;
    seen.add(dataDirectory);
    const links = join(dataDirectory, 'pg_tblspc');
    for (const name of await namesIn(links)) {
      if ((await realpathOrNull(join(links, name))) !== wanted) continue;
      return `The server of process ${pid} on "${dataDirectory}" has tablespace ${name} there.`;
    }
  }
  return null;
}

/** True also where there are no such namespaces. */
async function seesWholeMachine(): Promise<boolean> {
  try {
    return (await readlink('/proc/self/ns/pid')) === WHOLE_MACHINE;
  } catch {
    // Safe: not Linux, where containers are machines of their own.
    return true;
  }
}

async function readLockFile(dataDirectory: string): Promise<string[] | null> {
  try {
    return (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user is alive although we may not signal it.
    return codeOf(error) === 'EPERM';
  }
}

/** Whether processes are attached to a System V segment. Only Linux lists them; elsewhere the process number has to do. */
async function isMemoryInUse(id: number): Promise<boolean> {
  const [head = '', ...rows] = (await textOrNull('/proc/sysvipc/shm'))?.trim().split('\n') ?? [];
  const columns = head.trim().split(/\s+/);
  return rows.some((row) => {
    const fields = row.trim().split(/\s+/);
    return Number(fields[columns.indexOf('shmid')]) === id && Number(fields[columns.indexOf('nattch')]) > 0;
  });
}

interface ServerProcess {
  readonly pid: number;
  readonly directory: string;
}

/** Processes of PostgreSQL with their working directories, which are the data directories, as far as the system shows them to us. */
async function listServerProcesses(): Promise<ServerProcess[]> {
  const found: ServerProcess[] = [];
  for (const name of await namesIn('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    if (!/postgres|postmaster/.test((await textOrNull(`/proc/${name}/comm`)) ?? '')) continue;
    try {
      found.push({ pid: Number(name), directory: await readlink(`/proc/${name}/cwd`) });
    } catch {
      // Safe: it has just ended, or it belongs to a user whose processes we may not look into, and the lock file still speaks for it.
    }
  }
  return found;
}

async function findWorkingIn(dataDirectory: string): Promise<ServerProcess | undefined> {
  const here = await identityOf(dataDirectory);
  if (here === null) return undefined;
  for (const found of await listServerProcesses()) {
    // Through /proc, so that a directory is the same one under whatever path a container has it.
    if ((await identityOf(`/proc/${found.pid}/cwd`)) === here) return found;
  }
  return undefined;
}

async function identityOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    // Safe: what cannot be looked at is not the directory that we have before us.
    return null;
  }
}

async function realpathOrNull(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch {
    // Safe: a path that leads nowhere is used by nobody.
    return null;
  }
}

async function textOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // Safe: not Linux, or a process that has just ended; the other signs are still looked at.
    return null;
  }
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    // Safe: as for `textOrNull`.
    return [];
  }
}
