import { execFileSync, spawn } from 'node:child_process';
import {
  listTree,
  readMachineCpuSeconds,
  readPeakMemoryBytes,
  readProcessCpu,
  readTreeCpuSeconds,
} from './processes.ts';

/** A program to run, the way `spawn` wants it. Its standard output is thrown away. */
export interface Command {
  program: string;
  args: readonly string[];
  env?: Record<string, string>;
  cwd?: string;
}

/** What one run took. */
export interface Measurement {
  wallSeconds: number;
  /** Of the whole machine while it ran: the program, the server, the kernel and whatever else ran. */
  machineCpuSeconds: number;
  /** The part of it that was neither the program's nor the server's nor our own: a run with much of it is worth little. */
  otherCpuSeconds: number;
  /** The largest sum of the peaks of the program's processes; for a program of one process its own peak. */
  peakMemoryBytes: number;
}

/** Often enough to meet the last growth of a run of seconds, rare enough to cost nothing. */
const memorySampleMs = 25;
/** What a failing program said is shown; this much of its end is kept. */
const keptErrorCharacters = 4_000;

/**
 * Runs a command by itself and measures it. `serverPid` is the postmaster, whose share is counted as the run's.
 *
 * Errors: a plain one with what the program said, when it does not end with exit code 0.
 */
export async function measureCommand(command: Command, serverPid: number): Promise<Measurement> {
  return await measure(serverPid, () => startCommand(command));
}

/** Measures what a program that runs already does until `ended`. */
export async function measureWork(pid: number, serverPid: number, begin: () => Promise<void>): Promise<Measurement> {
  return await measure(serverPid, () => ({ pid, ended: begin() }), pid);
}

/** `living` is a program that goes on afterwards, so that what it used is not among what our children used. */
async function measure(
  serverPid: number,
  begin: () => { pid: number; ended: Promise<void> },
  living?: number,
): Promise<Measurement> {
  // What an earlier run left to be written must not be written in this one.
  execFileSync('sync');
  const before = takeReadings(serverPid, living);
  const peaks = new Map<number, number>();
  const { pid, ended } = begin();
  const sampler = setInterval(() => {
    for (const member of listTree(pid))
      peaks.set(member, Math.max(peaks.get(member) ?? 0, readPeakMemoryBytes(member)));
  }, memorySampleMs);
  try {
    await ended;
  } finally {
    clearInterval(sampler);
  }
  const after = takeReadings(serverPid, living);
  const machineCpuSeconds = after.machineCpu - before.machineCpu;
  const accounted = after.serverCpu - before.serverCpu + after.ownCpu - before.ownCpu;
  return {
    wallSeconds: (after.atMs - before.atMs) / 1_000,
    machineCpuSeconds,
    otherCpuSeconds: Math.max(0, machineCpuSeconds - accounted),
    peakMemoryBytes: [...peaks.values()].reduce((sum, peak) => sum + peak, 0),
  };
}

/** Runs a command without measuring it; for all that is not the thing itself. */
export async function runCommand(command: Command): Promise<void> {
  await startCommand(command).ended;
}

function startCommand(command: Command): { pid: number; ended: Promise<void> } {
  const child = spawn(command.program, command.args, {
    cwd: command.cwd ?? '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC', ...command.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-keptErrorCharacters);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) return resolve();
      const line = [command.program, ...command.args].join(' ');
      reject(new Error(`"${line}" ended with ${signal ?? `exit code ${code}`}:\n${said}`));
    });
  });
  // The pid is missing only when the program could not be started, and then `ended` says so.
  return { pid: child.pid ?? -1, ended };
}

function takeReadings(serverPid: number, living: number | undefined) {
  const own = readProcessCpu('self');
  const livingCpu = living === undefined ? 0 : readTreeCpuSeconds(living);
  return {
    atMs: performance.now(),
    machineCpu: readMachineCpuSeconds(),
    // The postmaster is our child, too, but is collected only when it stops, after the last measurement.
    ownCpu: own.ownSeconds + own.childrenSeconds + livingCpu,
    serverCpu: readTreeCpuSeconds(serverPid),
  };
}
