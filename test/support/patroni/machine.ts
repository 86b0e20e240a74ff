import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { startProcessGuard } from '../process-guard.ts';
import { killIfThere, listChildren } from '../processes.ts';
import { nobody } from '../scratch.ts';

/**
 * A process namespace with one program as its first process, run as "nobody": when it is turned off, everything in it is gone at once, as with
 * the power of a machine. It ends with the process that started it, however that ends.
 */
export interface Machine {
  /** Resolves when it is off. */
  turnOff(): Promise<void>;
  /** `kill -9` for every process in it that works in that directory. */
  kill(directory: string): Promise<void>;
}

/** The namespace has processes of its own in /proc; `unshare` ends its first one, and so all, when it is killed itself. */
const namespace = ['--pid', '--fork', '--mount-proc', '--kill-child=KILL'];
const asNobody = [`--reuid=${nobody.uid}`, `--regid=${nobody.gid}`, '--clear-groups', '--pdeathsig=KILL'];

/** Turns a machine on. What it says goes to the end of `log`. */
export function turnOn(options: {
  command: readonly [string, ...string[]];
  environment: Readonly<Record<string, string>>;
  log: string;
}): Machine {
  const log = openSync(options.log, 'a');
  const child: ChildProcess = spawn('unshare', [...namespace, 'setpriv', ...asNobody, ...options.command], {
    cwd: '/',
    env: { ...options.environment },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const guard = startProcessGuard(undefined);
  guard.watch(child.pid);
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  }).then(() => guard.dismiss());
  const turnOff = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return {
    turnOff,
    kill: async (directory) => {
      for (const pid of child.exitCode === null ? await listDescendants(child.pid!) : []) {
        if (await worksIn(pid, directory)) killIfThere(pid);
      }
    },
  };
}

async function listDescendants(pid: number): Promise<number[]> {
  const children = await listChildren(pid).catch(() => []); // It has ended meanwhile.
  return [...children, ...(await Promise.all(children.map(listDescendants))).flat()];
}

async function worksIn(pid: number, directory: string): Promise<boolean> {
  const found = await readlink(`/proc/${pid}/cwd`).catch(() => ''); // It has ended meanwhile.
  return found === directory;
}
