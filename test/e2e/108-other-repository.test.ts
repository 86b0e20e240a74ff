import assert from 'node:assert/strict';
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { testPassphrase } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('other-repository');
});
after(() => rm(scratch, { recursive: true, force: true }));

async function run(state: string, ...words: string[]) {
  return runAt('disk', {}, state, ...words);
}

async function runAt(place: string, more: Readonly<Record<string, string>>, state: string, ...words: string[]) {
  const environment = {
    ...more,
    HOLDFAST_REPOSITORY: join(scratch, place),
    HOLDFAST_PASSPHRASE: testPassphrase,
    HOLDFAST_STATE_DIR: join(scratch, state),
  };
  const ended = await runHoldfast([...words, '--json'], { environment });
  return { ...ended, document: documentOf<{ repository: string; error?: { code: string; detail: string } }>(ended) };
}

test('another repository at the same address is told to who reads, and refused to who writes until it is accepted', async () => {
  const first = await run('state', 'repository', 'init');
  await rename(join(scratch, 'disk'), join(scratch, 'swapped'));
  // Elsewhere, with the same passphrase: for this machine it is a disk that was swapped.
  const second = await run('elsewhere', 'repository', 'init');
  const [expected, found] = [first.document.repository, second.document.repository];
  assert.notEqual(expected, found);

  const written = await run('state', 'repository', 'acknowledge');
  assert.deepEqual([written.code, written.document.error?.code], [4, 'REPOSITORY_OTHER']);
  assert.match(written.document.error!.detail, new RegExp(`${expected}.*${found}`));
  for (const words of [['list'], ['doctor']]) {
    const read = await run('state', ...words);
    const same = await run('elsewhere', ...words);
    assert.equal(read.code, same.code, `${words}: ${read.stderr}`);
    assert.match(read.stderr, new RegExp(`another repository than before: expected ${expected}, found ${found}`));
    assert.doesNotMatch(same.stderr, /another repository/);
  }

  const wrong = await run('state', 'repository', 'accept', expected);
  assert.equal(wrong.code, 2, wrong.stderr);
  assert.equal((await run('state', 'repository', 'accept', found)).code, 0);
  assert.equal((await run('state', 'repository', 'acknowledge')).code, 0);
  assert.doesNotMatch((await run('state', 'list')).stderr, /another repository/);
  await rm(join(scratch, 'disk'), { recursive: true });
  await rename(join(scratch, 'swapped'), join(scratch, 'disk'));
  assert.equal((await run('state', 'repository', 'acknowledge')).code, 4);
});

test('a copy says nothing about the address of the primary: nothing of it is remembered or accepted there', async () => {
  const runHere = (state: string, ...words: string[]) =>
    runAt('first', { HOLDFAST_COPIES: `west=${join(scratch, 'west')}` }, state, ...words);
  const remembered = (state: string) => readdir(join(scratch, state, 'places')).catch(() => []);
  const { document } = await runHere('maker', 'repository', 'init');
  assert.equal((await runHere('maker', 'copies', 'sync', '--create')).code, 0);

  // What opens is the copy's, as the primary's own is damaged.
  await writeFile(join(scratch, 'first', 'format'), 'damaged');
  const written = await runHere('new', 'repository', 'acknowledge');
  assert.equal(written.code, 0, written.stderr);
  assert.deepEqual(await remembered('new'), []);

  await rename(join(scratch, 'first'), join(scratch, 'first.away'));
  assert.equal((await runHere('new', 'list')).code, 0, 'who reads goes on by the copy');
  const away = await runHere('new', 'repository', 'accept', document.repository);
  assert.deepEqual([away.code, away.document.error?.code], [1, 'REPOSITORY_ABSENT'], away.stderr);
  assert.deepEqual(await remembered('new'), []);
});
