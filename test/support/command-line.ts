import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endWithTests } from './end-with-tests.ts';

const executable = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

/** How a command ended, and all that it said. */
export interface CommandRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command on its way. */
export interface RunningCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandRun>;
  /** Resolves when the pattern stands in either output; rejects when the command ends before. */
  said(pattern: RegExp): Promise<void>;
}

/** Where a command runs and what it sees of the environment, beside the paths that it needs to start. */
export interface CommandSurroundings {
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** A program and its arguments that the command is started by, such as `setpriv` with what it takes away. */
  readonly through?: readonly string[];
}

/** The server of a test is in nobody's way, and its next spread checkpoint is minutes away. */
export const hurry = { HOLDFAST_CHECKPOINT: 'fast' } as const;

/** Starts `bin/holdfast` as a person would, but for `hurry`. Whoever starts one waits for `ended`; it is killed with the tests of the file. */
export function startHoldfast(words: readonly string[], surroundings: CommandSurroundings = {}): RunningCommand {
  const { PATH = '', HOME = '' } = process.env;
  const [program, ...rest] = [...(surroundings.through ?? []), executable, ...words];
  const child = spawn(program!, rest, {
    cwd: surroundings.directory ?? '/',
    env: { PATH, HOME, ...hurry, ...surroundings.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithTests(child);
  let [stdout, stderr] = ['', ''];
  const waiting = new Set<() => void>();
  const heard = () => {
    for (const check of waiting) check();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    heard();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    heard();
  });
  const ended = new Promise<CommandRun>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  const said = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if (!pattern.test(stdout) && !pattern.test(stderr)) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
      void ended.then(() => {
        if (waiting.delete(check))
          reject(new Error(`the command ended before it said ${pattern}:\n${stdout}${stderr}`));
      });
    });
  return { child, ended, said };
}

/** Runs a command to its end. */
export function runHoldfast(words: readonly string[], surroundings?: CommandSurroundings): Promise<CommandRun> {
  return startHoldfast(words, surroundings).ended;
}

/** The document of `--json`: the last line of standard output. */
export function documentOf<Shape = Record<string, unknown>>({ stdout, stderr }: CommandRun): Shape {
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(last) as Shape;
  } catch {
    throw new Error(`the last line is no JSON: ${JSON.stringify(last)}\n${stderr}`);
  }
}
