import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HoldfastError } from '../../../src/lib/index.ts';

/** `holdfast wal stream`, as a process of its own. */
export interface Receiver {
  /** Settled when the process ends without having been asked to, with the reason. */
  readonly broken: Promise<HoldfastError>;
  /** Lets it store what it has received, and waits for its end. Safe to call again. */
  stop(): Promise<void>;
}

const holdfast = fileURLToPath(new URL('../../../bin/holdfast', import.meta.url));
const planFile = fileURLToPath(new URL('./holdfast.config.ts', import.meta.url));
/** Storing what has arrived takes a moment; a process that hangs shall not hold up the demo for ever. */
const stopWaitMsMax = 60_000;

/**
 * Starts the command that an administrator would put into a service unit, with the demo's plan.
 *
 * Its log and its pid file lie in `directory`. It runs in a session of its own, so that Ctrl-C meets the demo alone,
 * which ends it in the right order.
 */
export async function startReceiver(options: {
  directory: string;
  environment: Readonly<Record<string, string>>;
}): Promise<Receiver> {
  const logFile = join(options.directory, 'wal-stream.log');
  const log = openSync(logFile, 'a');
  const child = spawn(holdfast, ['wal', 'stream', '--plan', planFile], {
    cwd: options.directory,
    detached: true,
    env: { ...process.env, ...options.environment },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  if (child.pid !== undefined) await writeFile(join(options.directory, 'wal-stream.pid'), `${child.pid}\n`);
  let isStopping = false;
  const broken = ended.then(async (how) => {
    if (isStopping) return await new Promise<never>(() => {});
    return receiverEnded(how, await readFile(logFile, 'utf8'));
  });
  return {
    broken,
    stop: async () => {
      isStopping = true;
      await endChild(child, ended);
    },
  };
}

async function endChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopWaitMsMax);
  await ended;
  clearTimeout(timer);
}

function receiverEnded(how: string, log: string): HoldfastError {
  return new HoldfastError('DEMO_RECEIVER_ENDED', `holdfast wal stream ended (${how})`, {
    detail: `Its last words: ${log.trimEnd().split('\n').slice(-5).join(' | ') || 'none'}`,
  });
}
