import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { memoryStore, type ObjectStore, unusableStore } from '../../repository/index.ts';
import { gatherCopies } from './gather-copies.ts';
import { judgeCopies } from './judge-copies.ts';

const away = new HoldfastError('STORE_ABSENT', 'could not reach disk "/west"');

async function storeWith(...names: readonly string[]): Promise<ObjectStore> {
  const store = memoryStore();
  for (const name of names) await store.putIfAbsent(name, Buffer.from(name));
  return store;
}

/** The checks of one copy that are not as they should be, and those about its being one. */
async function examine(primary: ObjectStore, copy: ObjectStore, required = false, directory: string | null = null) {
  const facts = await gatherCopies(primary, [{ name: 'west', store: copy, required, directory }], systemClock);
  return judgeCopies(facts, null);
}

const told = (checks: Awaited<ReturnType<typeof examine>>) =>
  checks
    .filter(({ verdict, code }) => verdict !== 'ok' || code === 'copy-apart' || code === 'copy-whole')
    // Memory offers neither versions nor locks, which is no matter of copies.
    .filter(({ code }) => !['copy-versioning', 'copy-lock'].includes(code))
    .map(({ verdict, code }) => `${verdict} ${code}`);

describe('a copy that the doctor looks at', () => {
  it('is well when it is a place of its own and has all that the primary has', async () => {
    const checks = await examine(await storeWith('format'), await storeWith('format'));
    assert.deepEqual(told(checks), ['ok copy-apart', 'ok copy-whole']);
  });

  it('is a problem when it is the primary under another address', async () => {
    const store = await storeWith('format');
    assert.deepEqual(told(await examine(store, store)), ['problem copy-apart']);
  });

  it('that is away weighs as much as it is required, and says how it is made', async () => {
    const primary = await storeWith('format');
    const gone = unusableStore('disk "/west"', away);
    const optional = await examine(primary, gone);
    assert.deepEqual(told(optional), ['warning copy-write', 'unseen copy-apart']);
    assert.deepEqual(
      optional[0]!.mends.map(({ kind }) => kind),
      ['advice'],
      'a bucket cannot be made',
    );
    const [directory] = await examine(primary, gone, false, '/west');
    assert.deepEqual(directory!.mends.at(-1), { kind: 'shell', text: 'holdfast copies sync west --create' });
    assert.deepEqual(told(await examine(primary, gone, true)), ['problem copy-write', 'unseen copy-apart']);
  });

  it('is judged by what is said of it alone, also where what is said of another one names it', async () => {
    const primary = await storeWith('format');
    const lost = new HoldfastError('STORE_ABSENT', 'cannot find disk "west"');
    const copies = [
      { name: 'west', store: await storeWith('format'), required: false, directory: null },
      { name: 'east', store: unusableStore('disk "west"', lost), required: false, directory: null },
    ];
    const checks = judgeCopies(await gatherCopies(primary, copies, systemClock), null);
    const whole = checks.filter(({ code }) => !['copy-versioning', 'copy-lock', 'copy-clock'].includes(code));
    assert.deepEqual(
      whole.filter(({ verdict }) => verdict !== 'ok').map(({ sentence }) => /"(\w+)"/.exec(sentence)?.[1]),
      ['east', 'east'],
    );
  });

  it('leaves nothing behind in either place', async () => {
    const [primary, copy] = [await storeWith('format'), await storeWith('format')];
    await examine(primary, copy);
    for (const store of [primary, copy]) {
      const names: string[] = [];
      for await (const { name } of store.list('')) names.push(name);
      assert.deepEqual(names, ['format']);
    }
  });
});
