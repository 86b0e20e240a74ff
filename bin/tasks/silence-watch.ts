import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** No file of tests is silent for so long on a busy machine; one that is waits for something that will not come. */
const SILENCE_MS_MAX = 8 * 60_000;
const LOOK_MS = 1_000;
/** For the processes to write their reports, and for the runner to say what it was interrupted in. */
const REPORT_MS = 2_000;
const END_MS = 15_000;

/**
 * Ends a test runner that has told of no test for minutes, and shows what its processes were doing: a run that is only ended from outside, by a
 * limit of hours, says nothing of why. Node's own limit for each test does not hold for hooks and imports.
 *
 * `tallyFile` grows with each test that ends. The files' processes write a report to `reportDirectory` when they get SIGUSR2.
 */
export function watchSilence(
  runner: { pid: number },
  tallyFile: string,
  reportDirectory: string,
  silenceMsMax = SILENCE_MS_MAX,
): () => void {
  let [size, grewAt] = [0, performance.now()];
  let isEnding = false;
  const timer = setInterval(() => {
    const now = sizeOf(tallyFile);
    if (now !== size) [size, grewAt] = [now, performance.now()];
    if (isEnding || performance.now() - grewAt < silenceMsMax) return;
    isEnding = true;
    process.stdout.write(`\n✖ No test has ended for ${Math.round(silenceMsMax / 1_000)} seconds. What runs:\n`);
    endLoudly(runner.pid, reportDirectory);
  }, LOOK_MS);
  return () => clearInterval(timer);
}

function endLoudly(runner: number, reportDirectory: string): void {
  process.stdout.write(
    execFileSync('ps', ['-A', '-o', 'pid,ppid,stat,etime,wchan:24,args', '--forest'], { encoding: 'utf8' }),
  );
  for (const pid of childrenOf(runner)) signal(pid, 'SIGUSR2');
  setTimeout(() => {
    for (const file of readdirSync(reportDirectory)) describeReport(join(reportDirectory, file));
    signal(runner, 'SIGTERM');
    setTimeout(() => signal(runner, 'SIGKILL'), END_MS).unref();
  }, REPORT_MS);
}

/** What a process of node waits for: its open handles, and what is on its stack. */
function describeReport(file: string): void {
  const report = JSON.parse(readFileSync(file, 'utf8')) as {
    header: { processId: number; commandLine: string[] };
    javascriptStack?: { stack?: string[] };
    libuv: { type: string; is_active?: boolean }[];
  };
  const handles = report.libuv.filter((handle) => handle.is_active === true).map((handle) => JSON.stringify(handle));
  const { processId, commandLine } = report.header;
  const lines = [`process ${processId}: ${commandLine.at(-1)}`, ...(report.javascriptStack?.stack ?? []), ...handles];
  process.stdout.write(`${lines.join('\n  ')}\n`);
  rmSync(file);
}

function childrenOf(parent: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  return lines
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, of]) => (of === parent ? [pid!] : []));
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
