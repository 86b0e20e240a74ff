import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

/** Stands in for npm: notes that it was called, takes a moment, and makes what `npm ci` makes. */
const standInNpm = `#!/bin/sh
echo "$PWD $*" >> "$CALLS"
[ -z "$NPM_FAILS" ] || { echo "the registry said no" >&2; exit 7; }
[ -z "$NPM_SECONDS" ] || sleep "$NPM_SECONDS"
mkdir -p node_modules
`;

let checkout: string;
let calls: string;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'holdfast-launch-'));
  calls = join(checkout, 'calls');
  for (const folder of ['bin', 'toolchain', 'tools', 'src/cli']) mkdirSync(join(checkout, folder), { recursive: true });
  for (const name of ['launch.mjs', 'holdfast', 'require-node.mjs']) {
    cpSync(new URL(name, import.meta.url), join(checkout, 'bin', name));
  }
  for (const folder of ['.', 'toolchain']) writeFileSync(join(checkout, folder, 'package-lock.json'), '{}');
  writeFileSync(join(checkout, 'tools', 'npm'), standInNpm);
  chmodSync(join(checkout, 'tools', 'npm'), 0o755);
});

afterEach(() => rmSync(checkout, { recursive: true, force: true }));

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(command: string, commandArguments: string[], environment: Record<string, string> = {}): ChildProcess {
  return spawn(command, commandArguments, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: `${join(checkout, 'tools')}:${process.env.PATH}`, CALLS: calls, HOME: checkout, ...environment },
  });
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const outcome: Outcome = { code: null, stdout: '', stderr: '' };
  child.stdout!.on('data', (chunk: Buffer) => (outcome.stdout += chunk));
  child.stderr!.on('data', (chunk: Buffer) => (outcome.stderr += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ ...outcome, code }));
  });
}

function launch(...commandArguments: string[]): Promise<Outcome> {
  return outcomeOf(start(process.execPath, [join(checkout, 'bin/launch.mjs'), ...commandArguments]));
}

function countCalls(): number {
  return existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n').length : 0;
}

function writeCommandLine(source: string): void {
  writeFileSync(join(checkout, 'src/cli/main.ts'), source);
}

describe('bin/launch.mjs', () => {
  it('installs both folders once, says so on standard error only, and starts the command', async () => {
    const first = await launch('exec', '--', 'echo', 'hello there');
    assert.deepEqual([first.code, first.stdout], [0, 'hello there\n']);
    assert.match(first.stderr, /^Installing what this checkout needs, once … done in \d+\.\d s\n$/);
    assert.equal(countCalls(), 2);
    const second = await launch('exec', '--', 'echo', 'again');
    assert.deepEqual(second, { code: 0, stdout: 'again\n', stderr: '' });
    assert.equal(countCalls(), 2);
  });

  it('installs again only where the lock file has changed', async () => {
    await launch('install');
    writeFileSync(join(checkout, 'toolchain/package-lock.json'), '{"changed":true}');
    await launch('install');
    assert.equal(countCalls(), 3);
    assert.match(readFileSync(calls, 'utf8'), /toolchain ci [^\n]*\n$/);
  });

  it('lets two launches at once install once', async () => {
    const install = () =>
      outcomeOf(start(process.execPath, [join(checkout, 'bin/launch.mjs'), 'install'], { NPM_SECONDS: '0.5' }));
    const [first, second] = await Promise.all([install(), install()]);
    assert.deepEqual([first.code, second.code], [0, 0]);
    assert.equal(countCalls(), 2);
    assert.match(first.stderr + second.stderr, /Waiting for process \d+, which is installing/);
  });

  it('puts aside the lock of a process that died while installing', async () => {
    const ended = start('true', []);
    await outcomeOf(ended);
    mkdirSync(join(checkout, '.cache/install.lock'), { recursive: true });
    writeFileSync(join(checkout, '.cache/install.lock/owner'), String(ended.pid));
    assert.equal((await launch('install')).code, 0);
    assert.equal(existsSync(join(checkout, '.cache/install.lock')), false);
  });

  it('shows what npm said when it fails, and tries again the next time', async () => {
    const failing = await outcomeOf(
      start(process.execPath, [join(checkout, 'bin/launch.mjs'), 'install'], { NPM_FAILS: 'yes' }),
    );
    assert.equal(failing.code, 1);
    assert.match(failing.stderr, /the registry said no\n\nnpm ci failed in ".*" \(exit code 7\)/);
    assert.equal(existsSync(join(checkout, '.cache/install.lock')), false);
    assert.equal((await launch('install')).code, 0);
  });

  it('gives back the exit code, and the signal as a shell does', async () => {
    await launch('install');
    assert.equal((await launch('exec', '--', 'sh', '-c', 'exit 42')).code, 42);
    assert.equal((await launch('exec', '--', 'sh', '-c', 'kill -KILL $$')).code, 128 + 9);
  });

  it('passes signals on to the script', async () => {
    await launch('install');
    const script = 'trap "echo stopped calmly; exit 5" TERM; echo ready; while :; do sleep 0.05; done';
    const child = start(process.execPath, [join(checkout, 'bin/launch.mjs'), 'exec', '--', 'sh', '-c', script]);
    const outcome = outcomeOf(child);
    child.stdout!.once('data', () => child.kill('SIGTERM'));
    assert.deepEqual(await outcome, { code: 5, stdout: 'ready\nstopped calmly\n', stderr: '' });
  });

  it('puts the folder of the Node that it starts first in PATH', async () => {
    await launch('install');
    const { stdout } = await launch('exec', '--', 'sh', '-c', 'command -v node');
    assert.equal(stdout.trim(), process.execPath);
  });

  it('names the scripts when it is asked for another, and the file that a checkout lacks', async () => {
    assert.match((await launch('tset')).stderr, /^expected one of check, test, .*; found "tset"\.\n$/);
    const missing = await launch('bench');
    assert.deepEqual([missing.code, missing.stdout], [1, '']);
    assert.match(missing.stderr, /this checkout has no "bench\/main\.ts", which "bench" would run\.\n$/);
  });
});

describe('bin/holdfast', () => {
  it('runs the sources with the arguments as they were given, through any number of links', async () => {
    writeCommandLine('console.log(JSON.stringify(process.argv.slice(2)));');
    await launch('install');
    const link = join(checkout, 'tools', 'short');
    await outcomeOf(start('ln', ['-s', '../bin/holdfast', join(checkout, 'tools', 'long')]));
    await outcomeOf(start('ln', ['-s', 'long', link]));
    assert.deepEqual(await outcomeOf(start(link, ['two words', '', '--x=*'])), {
      code: 0,
      stdout: '["two words","","--x=*"]\n',
      stderr: '',
    });
  });

  it('installs first when nothing is installed', async () => {
    writeCommandLine('console.log("ran");');
    const { code, stdout } = await outcomeOf(start(join(checkout, 'bin/holdfast'), []));
    assert.deepEqual([code, stdout, countCalls()], [0, 'ran\n', 2]);
  });

  it('becomes the process that it starts', async () => {
    writeCommandLine('console.log(process.pid);');
    await launch('install');
    const child = start(join(checkout, 'bin/holdfast'), []);
    assert.equal((await outcomeOf(child)).stdout.trim(), String(child.pid));
  });

  it('keeps compiled code below a home that belongs to the user', async () => {
    writeCommandLine('console.log(process.env.NODE_COMPILE_CACHE);');
    await launch('install');
    const { stdout } = await outcomeOf(start(join(checkout, 'bin/holdfast'), []));
    assert.equal(stdout.trim(), join(checkout, '.cache/holdfast/compiled'));
    assert.ok(existsSync(stdout.trim()));
  });

  it('runs dist/ where there are no sources, as in an installed package', async () => {
    rmSync(join(checkout, 'src'), { recursive: true });
    mkdirSync(join(checkout, 'dist/cli'), { recursive: true });
    writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
    writeFileSync(join(checkout, 'dist/cli/main.js'), 'console.log("published", ...process.argv.slice(2));');
    const { code, stdout } = await outcomeOf(start(join(checkout, 'bin/holdfast'), ['list']));
    assert.deepEqual([code, stdout, countCalls()], [0, 'published list\n', 0]);
  });
});
