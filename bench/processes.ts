import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts processor time in these, whatever the kernel's own tick is (USER_HZ). */
const ticksPerSecond = 100;

/** Seconds of processor time that all cores of the machine have spent on anything but waiting, since it started. */
export function readMachineCpuSeconds(): number {
  const [, ...fields] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/);
  const [user, nice, system, , , interrupts, softInterrupts] = fields.map(Number);
  const ticks = (user ?? 0) + (nice ?? 0) + (system ?? 0) + (interrupts ?? 0) + (softInterrupts ?? 0);
  return ticks / ticksPerSecond;
}

/** Processor seconds of one process, and of those of its children that have ended and been collected. */
export interface ProcessCpu {
  ownSeconds: number;
  childrenSeconds: number;
}

/** Zero for a process that is not there any more. */
export function readProcessCpu(pid: number | 'self'): ProcessCpu {
  const stat = readIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, and may hold spaces; the third begins after it.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const seconds = (index: number) => (fields[index] ?? 0) / ticksPerSecond;
  return { ownSeconds: seconds(11) + seconds(12), childrenSeconds: seconds(13) + seconds(14) };
}

/** Processor seconds of a process, of all its descendants that run and of those that it has collected. */
export function readTreeCpuSeconds(pid: number): number {
  return listTree(pid).reduce((sum, member) => {
    const { ownSeconds, childrenSeconds } = readProcessCpu(member);
    return sum + ownSeconds + childrenSeconds;
  }, 0);
}

/** A process and its descendants, at this moment. */
export function listTree(pid: number): number[] {
  const tree = [pid];
  for (const member of tree) {
    for (const thread of listIfThere(`/proc/${member}/task`)) {
      const children = readIfThere(`/proc/${member}/task/${thread}/children`);
      tree.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return tree;
}

/** The most memory that a process has held at once, all its threads together (VmHWM); zero when it has ended. */
export function readPeakMemoryBytes(pid: number): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readIfThere(`/proc/${pid}/status`))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

/** A process may end between being listed and being read, which is how processes are. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function listIfThere(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // As above.
  }
}
