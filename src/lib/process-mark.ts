import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

interface ProcessFacts {
  host: string;
  boot: string;
  pid: number;
  /** When the process started, in clock ticks since boot; 0 where the system does not say. */
  start: number;
}

/**
 * Names this process in the name of a file, so that others can tell whether whoever made the file still lives.
 *
 * Shape: `<host 8>.<boot 8>.<pid>.<start>`. A pid alone would not do: containers give the same one to every process they start, and a
 * directory may be shared by several hosts.
 */
export function processMark(): string {
  const { host, boot, pid, start } = self();
  return `${host}.${boot}.${pid}.${start}`;
}

/** What is known about the process of a mark. */
export type MarkedProcess = 'alive' | 'dead' | 'elsewhere';

/** `elsewhere` for a process of another host or container, and for what is no mark: nothing can be told of these from here. */
export function markedProcess(mark: string): MarkedProcess {
  const match = /^([0-9a-f]{8})\.([0-9a-f]{8})\.(\d+)\.(\d+)$/.exec(mark);
  if (match === null) return 'elsewhere';
  const [, host, boot, pid, start] = match;
  const own = self();
  if (host !== own.host) return 'elsewhere';
  if (boot !== own.boot) return 'dead';
  return isRunning(Number(pid), Number(start)) ? 'alive' : 'dead';
}

function isRunning(pid: number, start: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM means that the process is there and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startOf(pid) === start;
}

let known: ProcessFacts | undefined;

function self(): ProcessFacts {
  known ??= {
    // Process ids mean something only inside one pid namespace, so a container counts as a host of its own.
    host: shortHash(`${hostname()} ${readOr(() => readlinkSync('/proc/self/ns/pid'))}`),
    boot: shortHash(readOr(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))),
    pid: process.pid,
    start: startOf(process.pid),
  };
  return known;
}

/** Field 22 of /proc/<pid>/stat; the command in field 2 may hold spaces and parentheses, so counting begins behind its last one. */
function startOf(pid: number): number {
  const stat = readOr(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 0);
}

/** Systems without /proc say nothing; there the pid alone decides. */
function readOr(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
