import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchSilence } from './silence-watch.ts';

/** The checkout. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** What became of one part of the tests. */
export interface PartResult {
  name: string;
  passed: boolean;
  seconds: number;
  /** `undefined` for a part that counts nothing, such as the types. */
  tests?: { count: number; failed: number };
  skipped: { title: string; reason: string }[];
  failed: FailedTest[];
}

interface FailedTest {
  title: string;
  /** Its file and line. */
  place: string;
  error: string;
}

/** So much of an error is repeated at the end; the whole stands where the test ran. */
const errorLinesMax = 60;

/** A test that hangs is cut after this long, so that the run ends with its name. */
const testWaitMsMax = 15 * 60_000;

/** Test files below the checkout by glob pattern, in a fixed order. */
export function findTests(pattern: string): string[] {
  return globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') }).sort();
}

/** Runs a command of the checkout with its output shown, and times it. */
export async function runCommand(name: string, command: string, commandArguments: string[]): Promise<PartResult> {
  const started = performance.now();
  const passed = (await runVisibly(command, commandArguments)) === 0;
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(`${passed ? '✔' : '✖'} ${name} (${seconds.toFixed(1)} s)\n`);
  return { name, passed, seconds, skipped: [], failed: [] };
}

/** Runs test files, `concurrency` of them at a time, with node's own report on standard output. */
export async function runTests(name: string, files: string[], concurrency: number): Promise<PartResult> {
  process.stdout.write(`\n${name}\n`);
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-tally-'));
  const tallyFile = join(scratch, 'tally.jsonl');
  const started = performance.now();
  try {
    const reports = join(scratch, 'reports');
    mkdirSync(reports);
    const watch = (runner: { pid: number }) => watchSilence(runner, tallyFile, reports);
    const runnerArguments = [
      ...['--disable-warning=ExperimentalWarning', '--conditions=holdfast-source', '--test'],
      ...['--report-on-signal', '--report-signal=SIGUSR2', `--report-directory=${reports}`, '--report-compact'],
      ...[`--test-concurrency=${concurrency}`, `--test-timeout=${testWaitMsMax}`],
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...[`--test-reporter=${join(root, 'bin/tasks/tally-reporter.ts')}`, `--test-reporter-destination=${tallyFile}`],
      ...files,
    ];
    const exitCode = await runVisibly(process.execPath, runnerArguments, watch);
    const tally = readTally(tallyFile);
    const passed = exitCode === 0 && tally.tests.count > 0 && (tally.skipped.length === 0 || !skipIsFailure);
    return { name, passed, seconds: (performance.now() - started) / 1000, ...tally };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** As root on Debian everything that a test needs is there or can be put there; so a skip hides something. */
export const skipIsFailure = process.getuid?.() === 0 && existsSync('/etc/debian_version');

interface TallyEntry {
  outcome: 'passed' | 'failed' | 'skipped';
  title: string;
  reason?: string;
  place?: string;
  error?: string;
}

function readTally(
  file: string,
): Pick<PartResult, 'skipped' | 'failed'> & { tests: { count: number; failed: number } } {
  const tests = { count: 0, failed: 0 };
  const skipped: PartResult['skipped'] = [];
  const failed: FailedTest[] = [];
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  for (const line of lines) {
    const entry = JSON.parse(line) as TallyEntry;
    tests.count++;
    if (entry.outcome === 'failed') {
      tests.failed++;
      failed.push({ title: entry.title, place: entry.place ?? 'unknown', error: entry.error ?? 'no error told' });
    }
    if (entry.outcome === 'skipped') skipped.push({ title: entry.title, reason: entry.reason ?? 'no reason given' });
  }
  return { tests, skipped, failed };
}

/** `watch` sees the process while it runs, and gives what ends that. */
function runVisibly(
  command: string,
  commandArguments: string[],
  watch: (child: { pid: number }) => () => void = () => () => {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, commandArguments, { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    const stopWatching = child.pid === undefined ? () => {} : watch({ pid: child.pid });
    child.once('exit', (code) => {
      stopWatching();
      resolve(code ?? 1);
    });
  });
}

/** Of a long run often only the end is kept: what failed in an early part has to stand there too. */
function tellFailedTests(parts: PartResult[]): void {
  for (const part of parts) {
    for (const { title, place, error } of part.failed) {
      const lines = error.split('\n');
      const cut = lines.length > errorLinesMax ? `\n  … ${lines.length - errorLinesMax} more lines` : '';
      const shown = lines.slice(0, errorLinesMax).join('\n  ');
      process.stdout.write(`\n✖ ${part.name}: ${title}\n  at ${place}\n  ${shown}${cut}\n`);
    }
  }
}

/** Prints what became of each part and sets the exit code. */
export function conclude(task: string, parts: PartResult[]): void {
  const total = { count: 0, failed: 0, skipped: 0, seconds: 0 };
  const rows = parts.map((part) => {
    total.count += part.tests?.count ?? 0;
    total.failed += part.tests?.failed ?? 0;
    total.skipped += part.skipped.length;
    total.seconds += part.seconds;
    const counts = part.tests === undefined ? '' : `${part.tests.count} tests`;
    return `${part.passed ? '✔' : '✖'} ${part.name.padEnd(24)} ${counts.padStart(12)} ${part.seconds.toFixed(1).padStart(8)} s`;
  });
  tellFailedTests(parts);
  process.stdout.write(`\n${task}\n${rows.join('\n')}\n`);
  for (const { title, reason } of parts.flatMap((part) => part.skipped)) {
    process.stdout.write(`SKIPPED${skipIsFailure ? ', which fails here' : ''}: ${title}: ${reason}\n`);
  }
  const passed = parts.every((part) => part.passed);
  const counts = total.count === 0 ? '' : `${total.count} tests, ${total.failed} failed, ${total.skipped} skipped, `;
  process.stdout.write(`${passed ? '✔ passed' : '✖ FAILED'}: ${counts}${total.seconds.toFixed(1)} s\n`);
  if (!passed) process.exitCode = 1;
}
