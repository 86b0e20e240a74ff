import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { namesIn } from '../../test/support/listing.ts';
import { createRepository, keyFileIn, scratchFor } from '../../test/support/memory-repository.ts';
import { storeWith } from '../../test/support/store-with.ts';
import { systemClock } from '../lib/index.ts';
import { generateKeyFile, readSecret } from './key/index.ts';
import { addSlot, listSlots, removeSlot, rotateSlot } from './key-slots.ts';
import { memoryStore } from './object-store/index.ts';
import { openRepository } from './open-repository.ts';

const clock = systemClock;

describe('key slots', () => {
  it('open the same keys with a passphrase and with a key file', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const passphrase = { kind: 'passphrase', passphrase: 'correct horse battery staple' } as const;
    const second = await keyFileIn(scratch);
    const slots = [await addSlot(repository, passphrase, 'Anna'), await addSlot(repository, second, 'agent')];
    for (const [i, credential] of [passphrase, second].entries()) {
      const opened = await openRepository({ store, credential, access: 'read', clock });
      assert.deepEqual(opened.keys.material(), repository.keys.material());
      assert.equal(opened.slot, slots[i]);
    }
    const wrong = { kind: 'passphrase', passphrase: 'correct horse battery stapl' } as const;
    await assert.rejects(openRepository({ store, credential: wrong, access: 'read', clock }), {
      code: 'REPOSITORY_KEY_REJECTED',
    });
    const { slots: listed, damaged } = await listSlots(repository);
    const shown = new Map(listed.map(({ slot, kind, label, inUse }) => [slot, [kind, label, inUse]]));
    assert.deepEqual(shown.get(slots[0]!), ['passphrase', 'Anna', false]);
    assert.deepEqual(shown.get(slots[1]!), ['key-file', 'agent', false]);
    assert.deepEqual(shown.get(repository.slot), ['key-file', 'first key', true]);
    assert.deepEqual(damaged, []);
  });

  it('take a passphrase for the same however a keyboard composes it', async (test) => {
    const { repository, store } = await createRepository(test);
    await addSlot(repository, { kind: 'passphrase', passphrase: 'M\u00fcller' }, 'x');
    const credential = { kind: 'passphrase', passphrase: 'Mu\u0308ller' } as const;
    await openRepository({ store, credential, access: 'read', clock });
  });

  it('wrap with fresh salts and nonces each time, and show nothing of the keys', async (test) => {
    const { repository, store, credential } = await createRepository(test);
    const documents = [];
    for (let i = 0; i < 3; i++) {
      const slot = await addSlot(repository, credential, 'again');
      documents.push(JSON.parse((await store.get(`keys/${slot}`)).toString()));
    }
    assert.equal(new Set(documents.map(({ nonce }) => nonce)).size, 3);
    assert.equal(new Set(documents.map(({ kdf }) => kdf.salt)).size, 3);
    const { signingSeed } = repository.keys.material();
    assert.ok(
      documents.every(
        ({ wrapped }) => !Buffer.from(wrapped, 'base64').includes(Buffer.from(signingSeed).toString('base64')),
      ),
    );
  });

  it('can be removed, except the one that was used to open the repository, so that one that works is left', async (test) => {
    const { repository, store, credential, scratch } = await createRepository(test);
    await assert.rejects(removeSlot(repository, repository.slot), { code: 'KEY_SLOT_IN_USE' });
    const second = await keyFileIn(scratch);
    const added = await addSlot(repository, second, 'second');
    await removeSlot(repository, added);
    await assert.rejects(openRepository({ store, credential: second, access: 'read', clock }), {
      code: 'REPOSITORY_KEY_REJECTED',
    });
    await openRepository({ store, credential, access: 'read', clock });
    assert.deepEqual(await removeSlot(repository, added), { left: [] });
    for (const none of ['0'.repeat(32), 'x', '../format'])
      await assert.rejects(removeSlot(repository, none), { code: 'KEY_SLOT_ABSENT' });
  });

  it('are never all gone when two remove each other’s', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const second = await keyFileIn(scratch);
    await addSlot(repository, second, 'second');
    const other = await openRepository({ store, credential: second, access: 'write', clock });
    const outcomes = await Promise.allSettled([removeSlot(repository, other.slot), removeSlot(other, repository.slot)]);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    for (const { reason } of refused) assert.match(reason.code, /^KEY_SLOT_(CONFLICT|ABSENT)$/);
    assert.ok((await listSlots(repository)).slots.length >= 1);
  });

  it('are deleted in a copy, too, but never before it has the slot in use', async (test) => {
    const [primary, copy] = [memoryStore(), memoryStore()];
    const places = [primary, copy].map((store, i) => ({ name: `${i}`, store, required: i === 0 }));
    const both = storeWith(primary!, { places });
    const copyAll = async () => {
      for await (const { name } of primary.list('keys/')) await copy.putIfAbsent(name, await primary.get(name));
    };
    const made = await createRepository(test, { store: both });
    await copyAll();
    const old = made.repository.slot;
    const ofOld = await namesIn(primary!, `keys/${old}`);
    const { slot, left } = await rotateSlot(made.repository, old, await keyFileIn(made.scratch), 'new');
    assert.deepEqual(
      left.map(({ place, name }) => [place === copy.description, name]),
      ofOld.map((name) => [true, name]),
    );
    assert.equal(await primary.stat(`keys/${old}`), null);
    await copyAll();
    assert.deepEqual(await removeSlot(made.repository, old), { left: [] });
    assert.equal(await copy.stat(`keys/${old}`), null);
    assert.notEqual(await copy.stat(`keys/${slot}`), null);
  });

  it('are not rotated, where it is the one in use, to somebody who has not shown that the new one opens', async (test) => {
    const { repository, store } = await createRepository(test);
    const before = await namesIn(store, 'keys/');
    const recipients = [await identityToRecipient(await generateX25519Identity())];
    await assert.rejects(rotateSlot(repository, repository.slot, { kind: 'age-recipients', recipients }, 'anna'), {
      code: 'KEY_SLOT_UNPROVEN',
    });
    assert.deepEqual(await namesIn(store, 'keys/'), before);
  });

  it('are not changed by somebody who opened the repository to read', async (test) => {
    const { open, credential } = await createRepository(test);
    const reader = await open({ access: 'read' });
    await assert.rejects(addSlot(reader, credential, 'x'), { code: 'REPOSITORY_READ_ONLY' });
    await assert.rejects(removeSlot(reader, '0'.repeat(32)), { code: 'REPOSITORY_READ_ONLY' });
  });
});

describe('credentials', () => {
  it('are key files of 64 hexadecimal digits that only their owner may read', async (test) => {
    const path = join(await scratchFor(test, 'keys'), 'agent.key');
    await generateKeyFile(path);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const text = await readFile(path, 'utf8');
    assert.match(text, /^[0-9a-f]{64}\n$/);
    assert.deepEqual(await readSecret({ kind: 'key-file', path }), {
      kind: 'key-file',
      bytes: Buffer.from(text.trim(), 'hex'),
    });
    await assert.rejects(generateKeyFile(path), { code: 'KEY_FILE_EXISTS' });
    assert.equal(await readFile(path, 'utf8'), text);
    await assert.rejects(generateKeyFile(join(path, 'below')), { code: 'KEY_FILE_UNWRITABLE' });
  });

  it('are refused when they are empty, unreadable or something else, and never repeated', async (test) => {
    const scratch = await scratchFor(test, 'keys');
    await assert.rejects(readSecret({ kind: 'passphrase', passphrase: '' }), { code: 'KEY_PASSPHRASE_EMPTY' });
    await assert.rejects(readSecret({ kind: 'key-file', path: join(scratch, 'none') }), {
      code: 'KEY_FILE_UNREADABLE',
    });
    const path = join(scratch, 'wrong.key');
    for (const text of ['', 'geheim', 'ab'.repeat(31), 'ab'.repeat(33), 'zz'.repeat(32)]) {
      await writeFile(path, text);
      await assert.rejects(readSecret({ kind: 'key-file', path }), (error: Error) => {
        assert.equal((error as { code?: string }).code, 'KEY_FILE_INVALID');
        return text === '' || !JSON.stringify({ ...error, message: error.message }).includes(text);
      });
    }
  });
});
