import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../../src/lib/index.ts';
import { openRepository, openStore } from '../../src/repository/index.ts';
import { fetchAge, whyNoAge } from '../support/age.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const run = promisify(execFile);

interface KeyList {
  epoch: number;
  slots: { slot: string; label: string; state: string; epoch: number; inUse: boolean }[];
}

describe('the commands for keys', () => {
  let scratch: string;
  const at = (name: string) => join(scratch, name);

  before(async () => {
    scratch = await makeScratchDirectory('keys');
    assert.equal(
      (await holdfast({}, 'repository', 'init', '--generate-key-file', at('key'), '--label', 'host')).code,
      0,
    );
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  function holdfast(key: Record<string, string>, ...words: string[]) {
    const environment = { HOLDFAST_REPOSITORY: at('repository'), HOLDFAST_STATE_DIR: at('state'), ...key };
    return runHoldfast(words, { environment });
  }

  const withKey = (...words: string[]) => holdfast({ HOLDFAST_KEY_FILE: at('key') }, ...words);

  async function list(key: Record<string, string>): Promise<KeyList> {
    return documentOf<KeyList>(await holdfast(key, 'keys', 'list', '--json'));
  }

  it('add, rotate, remove and begin epochs, say what that does not do, and ask first', async () => {
    await writeFile(at('passphrase'), 'a long one, for people\n');
    const person = { HOLDFAST_PASSPHRASE_FILE: at('passphrase') };
    const added = await withKey('keys', 'add', '--new-passphrase-file', at('passphrase'), '--label', 'anna', '--json');
    assert.equal(documentOf(added).proven, true);
    assert.equal((await list(person)).slots.find(({ inUse }) => inUse)?.label, 'anna');

    const unasked = await withKey('keys', 'new-epoch');
    assert.equal(unasked.code, 4);
    assert.match(unasked.stderr, /Nothing that is stored is sealed again/);
    assert.equal(documentOf(await withKey('keys', 'new-epoch', '--yes', '--json')).epoch, 2);

    const rotated = await withKey('keys', 'rotate', '--generate-key-file', at('new-key'), '--yes', '--json');
    assert.equal(documentOf(rotated).label, 'host');
    assert.equal((await withKey('list')).code, 1);
    await rm(at('key'));
    await writeFile(at('key'), await readFile(at('new-key')));

    const own = await withKey('keys', 'remove', 'host', '--yes');
    assert.equal(own.code, 4);
    assert.match(own.stderr, /the repository was opened with it/);
    const removed = await withKey('keys', 'remove', 'anna', '--yes');
    assert.match(removed.stderr, /can be opened with its key until the lock ends/);
    const { epoch, slots } = await list({ HOLDFAST_KEY_FILE: at('key') });
    assert.deepEqual([epoch, slots.map(({ label, state }) => [label, state])], [2, [['host', 'open']]]);
    assert.match((await holdfast(person, 'list')).stderr, /none of its key slots is for a passphrase/);
  });

  it('write every change into the ledger, before and after', async () => {
    const credential = { kind: 'key-file', path: at('key') } as const;
    const store = openStore(at('repository'));
    const repository = await openRepository({ store, credential, access: 'read', clock: systemClock });
    const entries: string[] = [];
    for await (const { name } of store.list('ledger/')) {
      const { action, outcome } = (await repository.getJson('ledger', name)) as { action: string; outcome: string };
      if (action.startsWith('keys.')) entries.push(`${action} ${outcome}`);
    }
    const changes = ['add', 'new-epoch', 'rotate', 'remove', 'remove'];
    const expected = changes.flatMap((change, i) => [
      `keys.${change} started`,
      `keys.${change} ${i === 3 ? 'failed' : 'done'}`,
    ]);
    assert.deepEqual(entries, expected);
    await repository.close();
  });

  it('take recipients and identities as age itself makes and opens them', { skip: whyNoAge() }, async () => {
    const { age, keygen } = await fetchAge();
    await run(keygen, ['-o', at('anna.txt')]);
    const recipient = (await run(keygen, ['-y', at('anna.txt')])).stdout.trim();
    const added = await withKey('keys', 'add', '--age-recipient', recipient, '--label', 'by age', '--json');
    const { slot } = documentOf<{ slot: string }>(added);
    assert.equal((await withKey('keys', 'new-epoch', '--yes')).code, 0);
    const opened = await list({ HOLDFAST_AGE_IDENTITY: at('anna.txt') });
    assert.deepEqual([opened.epoch, opened.slots.find(({ inUse }) => inUse)?.label], [3, 'by age']);
    // Its part of the slot is a file of age, as docs/keys.md says.
    const document = JSON.parse(await readFile(join(at('repository'), 'keys', slot), 'utf8')) as { wrapped: string };
    await writeFile(at('wrapped.age'), Buffer.from(document.wrapped, 'base64'));
    const plain = await run(age, ['-d', '-i', at('anna.txt'), at('wrapped.age')], { encoding: 'buffer' });
    assert.equal(plain.stdout.length, 64);
    await run(keygen, ['-o', at('ben.txt')]);
    assert.equal((await holdfast({ HOLDFAST_AGE_IDENTITY: at('ben.txt') }, 'list')).code, 1);
  });

  it('make a recovery kit whose key opens the repository, and find out when it no longer does', async () => {
    const made = documentOf<{ keySlot: string }>(
      await withKey('recovery-kit', '--with-key', '--out', at('kit.html'), '--json'),
    );
    const checked = await withKey('recovery-kit', '--check', at('kit.html'));
    assert.equal(checked.code, 0, checked.stdout);
    const typed = /<pre>((?:[0-9A-Z]{5}-){6}[0-9A-Z]{5}\n(?:[0-9A-Z]{5}-){6}[0-9A-Z]{5})<\/pre>/.exec(
      await readFile(at('kit.html'), 'utf8'),
    )![1]!;
    assert.doesNotMatch(`${checked.stdout}${checked.stderr}`, new RegExp(typed.slice(0, 11)));
    await writeFile(at('typed.key'), typed.toLowerCase().replaceAll('-', ' '));
    assert.equal(
      (await list({ HOLDFAST_KEY_FILE: at('typed.key') })).slots.find(({ inUse }) => inUse)?.slot,
      made.keySlot,
    );
    const kits = (await list({ HOLDFAST_KEY_FILE: at('typed.key') })).slots.filter(({ label }) =>
      /^recovery kit of \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/.test(label),
    );
    assert.deepEqual(
      kits.map(({ slot }) => slot),
      [made.keySlot],
    );
    await withKey('keys', 'remove', kits[0]!.label, '--yes');
    const late = await withKey('recovery-kit', '--check', at('kit.html'), '--json');
    assert.equal(late.code, 3);
    assert.equal(documentOf(late).right, false);
    assert.equal((await withKey('recovery-kit', '--out', at('kit.html'))).code, 4);
  });
});
