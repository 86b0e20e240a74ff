import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { makeScratchDirectory } from './scratch.ts';

it('a process that a failed test has left ends with the tests of its file, and does not keep the run waiting', async (test) => {
  const directory = await makeScratchDirectory('left-behind');
  test.after(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'failing.test.mjs');
  const source = `
    import { spawn } from 'node:child_process';
    import { it } from 'node:test';
    import { endWithTests } from ${JSON.stringify(import.meta.resolve('./end-with-tests.ts'))};
    it('fails', () => {
      const child = spawn('sleep', ['600'], { stdio: ['ignore', 'pipe', 'pipe'] });
      endWithTests(child);
      throw new Error('sleeps as ' + child.pid);
    });`;
  await writeFile(file, source);
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_TEST_CONTEXT'));
  const output = await new Promise<string>((resolve) => {
    const options = { env: environment, timeout: 120_000 };
    execFile(process.execPath, ['--test', file], options, (_, stdout) => resolve(stdout));
  });
  const pid = Number(/sleeps as (\d+)/.exec(output)?.[1]);
  assert.match(output, /fail 1/);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});
