import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { connect } from '../../examples/wishcraft/database.ts';
import type { DemoResult } from '../../examples/wishcraft/demo/result.ts';
import { listChildren } from '../support/processes.ts';

const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** A demo that was started as `npm run demo` starts it. */
class DemoRun {
  stdout = '';
  stderr = '';
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  /** Stands in the environment of all that the demo starts with its own, and so finds what it leaves running. */
  readonly #mark = randomBytes(16).toString('hex');

  constructor(commandLine: readonly string[]) {
    this.process = spawn(process.execPath, ['bin/launch.mjs', 'demo', ...commandLine], {
      cwd: checkout,
      env: { ...process.env, DEMO_TEST_MARK: this.#mark },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.process.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.exited = new Promise((resolve, reject) => {
      this.process.once('error', reject);
      this.process.once('close', (code) => resolve(code));
    });
  }

  /** Where the demo made everything, as soon as it has said so. */
  get directory(): string | undefined {
    const repository = /an encrypted repository in\s+(\S+)/.exec(this.stdout + this.stderr)?.[1];
    return repository === undefined ? undefined : dirname(repository);
  }

  get lastLine(): unknown {
    return JSON.parse(this.stdout.trimEnd().split('\n').at(-1) ?? '');
  }

  async waitForText(pattern: RegExp): Promise<void> {
    await eventually(() => pattern.test(this.stdout + this.stderr) || this.process.exitCode !== null);
    assert.match(this.stdout + this.stderr, pattern);
  }

  /** Processes that the demo started, and that still run. */
  async listProcesses(): Promise<string[]> {
    const { directory } = this;
    const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,args=']);
    const byPlace = stdout.split('\n').filter((line) => directory !== undefined && line.includes(directory));
    const byMark = globSync('/proc/[0-9]*/environ').filter((file) => readIfThere(file).includes(this.#mark));
    return [...byPlace, ...byMark];
  }

  async assertNothingIsLeft(): Promise<void> {
    const { directory } = this;
    assert.ok(directory !== undefined, 'the demo has said where its repository is');
    // A process that was just killed is still listed for a moment.
    await eventually(async () => !existsSync(directory) && (await this.listProcesses()).length === 0);
  }
}

describe('the demo', () => {
  const runs: DemoRun[] = [];
  const start = (...commandLine: string[]) => {
    const run = new DemoRun(commandLine);
    runs.push(run);
    return run;
  };
  after(() => {
    // Only those of a failed test still run; what they started is ended by the demo itself.
    for (const run of runs) run.process.kill('SIGTERM');
  });

  it('loses a table, comes back to just before, and finds every write acknowledged up to then', async () => {
    const run = start('--json', '--seconds', '3');
    assert.equal(await run.exited, 0, run.stderr);
    const result = checkResult(run);
    assert.ok(result.acknowledgedWrites > 100, `${result.acknowledgedWrites} writes`);
    assert.ok(result.writesAfterDisaster > 0, 'the load went on after the table was dropped');
    await run.assertNothingIsLeft();
  });

  it('loses the whole server, and not one write that it had acknowledged', async () => {
    const run = start('--json', '--seconds', '3', '--disaster', 'database-failure');
    assert.equal(await run.exited, 0, run.stderr);
    const result = checkResult(run);
    assert.ok(result.acknowledgedWrites > 50, `${result.acknowledgedWrites} writes`);
    assert.equal(result.writesAfterDisaster, 0);
    await run.assertNothingIsLeft();
  });

  it('leaves the recovered server to be looked at when asked to, and says how to clean up', async () => {
    const run = start('--keep', '--seconds', '1');
    assert.equal(await run.exited, 0, run.stderr);
    assert.match(run.stdout, /Nothing is missing/);
    assert.equal(stripVTControlCharacters(run.stdout), run.stdout, 'no colours where nobody watches');
    const environment = /^ *(\. \S+environment)\b/m.exec(run.stdout)?.[1];
    assert.ok(environment !== undefined, run.stdout);
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', `${environment}; bin/holdfast list`], {
      cwd: checkout,
    });
    assert.match(stdout, /wishcraft/);
    const databaseUrl = /DATABASE_URL='(.*)'/.exec(readFileSync(environment.slice(2), 'utf8'))?.[1];
    const client = await connect(databaseUrl ?? '');
    const { rows } = await client.query('SELECT count(*)::int AS registries FROM registries');
    await client.end();
    assert.ok(rows[0].registries > 0);
    const cleanUp = /^ *(kill .*)$/m.exec(run.stdout)?.[1];
    assert.ok(cleanUp !== undefined, run.stdout);
    await promisify(execFile)('/bin/sh', ['-c', cleanUp]);
    await run.assertNothingIsLeft();
  });

  it('cleans up when it is interrupted', async () => {
    const run = start('--json', '--seconds', '60');
    await run.waitForText(/the shops write/);
    run.process.kill('SIGINT');
    assert.equal(await run.exited, 130, run.stderr);
    assert.match(run.stderr, /interrupted by SIGINT/);
    assert.equal((run.lastLine as { error: { code: string } }).error.code, 'INTERRUPTED');
    await run.assertNothingIsLeft();
  });

  it('is cleaned up after when it is killed', async () => {
    const run = start('--seconds', '60');
    await run.waitForText(/the shops write/);
    const [demo] = await listChildren(run.process.pid!);
    assert.ok(demo !== undefined);
    assert.ok((await run.listProcesses()).length > 5, 'server, receiver and the rest are found while they run');
    process.kill(demo, 'SIGKILL');
    await run.exited;
    await run.assertNothingIsLeft();
  });

  const refusals: [string[], RegExp][] = [
    [['--disaster', 'flood'], /unrecognized disaster "flood"[\s\S]*dropped-table, database-failure/],
    [['--loud'], /unrecognized option "--loud"/],
    [['--seconds', 'soon'], /invalid number of seconds "soon"/],
  ];
  for (const [commandLine, message] of refusals) {
    it(`refuses "${commandLine.join(' ')}" before it starts anything`, async () => {
      const run = start(...commandLine);
      assert.equal(await run.exited, 2);
      assert.match(run.stderr, message);
      assert.equal(run.stdout, '');
    });
  }
});

/** What holds of the numbers of every run that went well; they are also all that is on standard output. */
function checkResult(run: DemoRun): DemoResult {
  assert.equal(run.stdout.trimEnd().split('\n').length, 1, run.stdout);
  const result = run.lastLine as DemoResult;
  const keys = ['acknowledgedWrites', 'missingWrites', 'writesAfterDisaster', 'rpoSeconds', 'rtoSeconds'];
  assert.deepEqual(Object.keys(result), [...keys, 'recoveredTo', 'snapshot', 'backup', 'restore']);
  assert.deepEqual(Object.keys(result.backup), ['bytes', 'storedBytes', 'seconds']);
  assert.deepEqual(Object.keys(result.restore), ['bytes', 'seconds']);
  assert.equal(result.missingWrites, 0);
  assert.equal(result.rpoSeconds, 0);
  assert.ok(result.rtoSeconds > 0);
  assert.match(result.recoveredTo, /^[0-9A-F]+\/[0-9A-F]+$/);
  assert.match(result.snapshot, /^[0-9a-f]{16,}$/);
  assert.ok(result.backup.storedBytes > 0 && result.backup.storedBytes < result.backup.bytes);
  assert.ok(result.restore.bytes > 0 && result.restore.seconds > 0);
  return result;
}

/** The file of a process that has ended meanwhile is gone, and that of another user is none of ours. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** Fails the test after two minutes, which is several times what a demo takes on a busy machine. */
async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`waited in vain for: ${condition}`);
    await sleep(100);
  }
}
