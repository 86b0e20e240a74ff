import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { type CommandRun, documentOf, runHoldfast, startHoldfast } from '../../test/support/command-line.ts';
import { scratchFor } from '../../test/support/memory-repository.ts';

const codeOf = (run: CommandRun) => documentOf<{ error: { code: string } }>(run).error.code;

it('where WAL of an outage waits here and cannot be read, commands say so, and none takes what is stored for all there is', async (test) => {
  const scratch = await scratchFor(test, 'waiting');
  const [place, keyFile, stateDirectory] = ['place', 'key', 'state'].map((name) => join(scratch, name));
  await writeFile(keyFile!, randomBytes(32).toString('hex'), { mode: 0o600 });
  const environment = {
    ...{ HOLDFAST_REPOSITORY: place!, HOLDFAST_KEY_FILE: keyFile!, HOLDFAST_STATE_DIR: stateDirectory! },
  };
  const run = (...words: string[]) => runHoldfast(words, { environment });
  const made = await run('repository', 'init', '--json');
  assert.equal(made.code, 0, made.stderr);
  const id = /[0-9a-f]{32}/.exec(made.stdout)![0];
  assert.doesNotMatch((await run('list')).stderr, /newest WAL/);
  await mkdir(join(stateDirectory!, 'outage'), { recursive: true });
  await writeFile(join(stateDirectory!, 'outage', id), 'no directory');
  const status = await run('status', '--json');
  assert.equal(documentOf<{ places: object | null }>(status).places, null, 'what waits is no place of the repository');
  const told = await run('list');
  assert.equal(told.code, 0);
  assert.match(told.stderr, /The primary may lack the newest WAL: some objects of WAL wait/);
  for (const access of [[], ['--read-only']]) {
    const refused = await run('restore', '--into', join(scratch, 'into'), ...access, '--json');
    assert.deepEqual([refused.code, codeOf(refused)], [4, 'WAL_WAITS_UNREAD'], refused.stderr);
    // What mends the cause comes before what does without it.
    const { detail, hints } = documentOf<{ error: { detail: string; hints: string[] } }>(refused).error;
    assert.match(detail, /could not look at what waits .+ The system said: /);
    assert.match(hints[0]!, /Check the owner and mode of the directory/);
    assert.ok(hints.some((hint) => hint.includes('--from')));
  }
  const without = await run('restore', '--into', join(scratch, 'into'), '--from', 'primary', '--json');
  assert.equal(codeOf(without), 'RESTORE_NO_SNAPSHOT');
});

it('a command that tries a place again says so at once, which and for how long, to people and to programs', async () => {
  const environment = {
    HOLDFAST_REPOSITORY: 's3://shop/backups?endpoint=http://127.0.0.1:1&region=us-east-1&pathStyle=true',
    ...{ AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'nothing', HOLDFAST_PASSPHRASE: 'of no place' },
  };
  const patterns = new Map([
    ['--json', /The primary is tried again, for [0-9.]+ s at most: could not .+127\.0\.0\.1/],
    ['--events', /"kind":"retrying","place":"primary",.+"code":"STORE_UNAVAILABLE","triesLeft":7/],
  ]);
  await Promise.all(
    [...patterns].map(async ([form, pattern]) => {
      const { child, ended, said } = startHoldfast(['list', form], { environment });
      try {
        await said(pattern);
      } finally {
        child.kill('SIGTERM');
        await ended;
      }
    }),
  );
  // Where there is another place to ask, it is soon over, and told by how it ends.
  const copies = { ...environment, HOLDFAST_COPIES: 'west=/nowhere' };
  assert.doesNotMatch((await runHoldfast(['copies', 'status'], { environment: copies })).stderr, /tried again/);
});
