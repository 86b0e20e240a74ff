import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchFor } from './memory-repository.ts';

const watcher = fileURLToPath(new URL('../../bin/tasks/silence-watch.ts', import.meta.url));

describe('a run of tests in which one hangs where no limit of the runner holds', () => {
  it('ends, and names the file, what it waits for and what else runs', async (test) => {
    const scratch = await scratchFor(test, 'silence');
    await mkdir(join(scratch, 'reports'));
    const hanging = join(scratch, 'hanging.test.mjs');
    await writeFile(
      hanging,
      `import { before, describe, it } from 'node:test';
       import { createServer } from 'node:net';
       describe('it', () => { before(() => new Promise((done) => createServer(done).listen(0))); it('comes', () => {}); });`,
    );
    // A runner that is started as the tests' own is.
    const script = join(scratch, 'run.mts');
    await writeFile(
      script,
      `import { spawn } from 'node:child_process';
       import { watchSilence } from ${JSON.stringify(watcher)};
       const env = { ...process.env }; delete env.NODE_TEST_CONTEXT;
       const flags = ['--report-on-signal', '--report-signal=SIGUSR2', '--report-directory=${scratch}/reports', '--report-compact'];
       const runner = spawn(process.execPath, ['--test', ...flags, ${JSON.stringify(hanging)}], { stdio: 'inherit', env });
       const stop = watchSilence(runner, '${scratch}/no-tally', '${scratch}/reports', 2_000);
       runner.once('exit', (code, signal) => { stop(); console.log('ended with', code, signal); });`,
    );
    const { promise, resolve } = Promise.withResolvers<string>();
    execFile(process.execPath, [script], { timeout: 60_000 }, (_error, stdout) => resolve(stdout));
    const told = await promise;
    assert.match(told, /No test has ended for 2 seconds/);
    assert.match(told, /process \d+: .*hanging\.test\.mjs/);
    assert.match(told, /"type":"tcp"/);
    assert.match(told, /ended with/);
  });
});
