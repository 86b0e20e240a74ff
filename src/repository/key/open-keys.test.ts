import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { namesIn } from '../../../test/support/listing.ts';
import { lyingStore } from '../../../test/support/lying-store.ts';
import { createRepository, keyFileIn, scratchFor } from '../../../test/support/memory-repository.ts';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { initRepository } from '../init-repository.ts';
import { beginEpoch } from '../key-epochs.ts';
import { addSlot, listSlots, removeSlot, rotateSlot } from '../key-slots.ts';
import { memoryStore, type ObjectStore } from '../object-store/index.ts';
import { openRepository } from '../open-repository.ts';
import type { Credential } from './credential.ts';

const clock = systemClock;

function open(store: ObjectStore, credential: Credential, access: 'read' | 'write' = 'write', stateDirectory?: string) {
  const state = stateDirectory === undefined ? {} : { stateDirectory };
  return openRepository({ store, credential, access, clock, ...state });
}

async function ageIdentityIn(directory: string, name = 'id') {
  const identity = await generateX25519Identity();
  const path = join(directory, `${name}.txt`);
  await writeFile(path, `# created: today\n# public key: …\n${identity}\n`);
  return { credential: { kind: 'age-identity', path } as const, recipient: await identityToRecipient(identity) };
}

/** A key service for tests: it answers only for what it wrapped itself, and writes down the context that it was told. */
async function keyServiceIn(directory: string, name: string): Promise<Credential> {
  const path = join(directory, name);
  await writeFile(
    path,
    `#!/bin/sh
set -eu
echo "$1 $HOLDFAST_KEY_CONTEXT" >> "$0.log"
case "$1" in
  wrap) printf '${name}:'; base64 -w0 ;;
  unwrap) read -r text || true; case "$text" in '${name}:'*) printf '%s' "\${text#*:}" | base64 -d ;; *) exit 7 ;; esac ;;
esac
`,
  );
  await chmod(path, 0o755);
  return { kind: 'command', command: [path] };
}

describe('keys of every kind', () => {
  it('open the same repository, also after a new epoch that none of them was at hand for', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const anna = await ageIdentityIn(scratch, 'anna');
    const ben = await ageIdentityIn(scratch, 'ben');
    const service = await keyServiceIn(scratch, 'service');
    const passphrase = { kind: 'passphrase', passphrase: 'a passphrase' } as const;
    await addSlot(repository, passphrase, 'person');
    await addSlot(repository, service, 'service');
    await addSlot(repository, { kind: 'age-recipients', recipients: [anna.recipient, ben.recipient] }, 'both');
    const { epoch } = await beginEpoch(repository);
    await repository.putJson('attestation', 'attest/new', { said: 'new' });
    for (const credential of [passphrase, service, anna.credential, ben.credential]) {
      const opened = await open(store, credential);
      assert.equal(opened.keys.currentEpoch, epoch);
      assert.deepEqual(await opened.getJson('attestation', 'attest/new'), { said: 'new' });
    }
    const both = (await listSlots(repository)).slots.find(({ label }) => label === 'both');
    assert.deepEqual(both?.recipients, [anna.recipient, ben.recipient]);
  });

  it('create a repository, each of them', async (test) => {
    const scratch = await scratchFor(test, 'keys');
    for (const credential of [(await ageIdentityIn(scratch)).credential, await keyServiceIn(scratch, 'service')]) {
      const store = memoryStore();
      const { id } = await initRepository({ store, credential, clock });
      assert.equal((await open(store, credential)).id, id);
    }
  });

  it('are told apart: another identity, another service, a service that is away', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const [first, second] = [await keyServiceIn(scratch, 'first'), await keyServiceIn(scratch, 'second')];
    await addSlot(repository, first, 'first');
    await addSlot(repository, second, 'second');
    for (const service of [first, second]) await open(store, service);
    const stranger = await keyServiceIn(scratch, 'stranger');
    await assert.rejects(open(store, stranger), { code: 'KEY_COMMAND_FAILED', retryable: true, detail: /exit code 7/ });
    await assert.rejects(open(store, { kind: 'command', command: '/nowhere/at/all "$1"' }), {
      code: 'KEY_COMMAND_FAILED',
      message: /"\/nowhere\/at\/all"/,
    });
    await assert.rejects(open(store, (await ageIdentityIn(scratch)).credential), { code: 'REPOSITORY_KEY_REJECTED' });
  });

  it('of age are refused when they are mistyped, encrypted or secret, and never repeated', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const { recipient } = await ageIdentityIn(scratch);
    const secret = await generateX25519Identity();
    const wrong = [recipient.slice(0, -1), `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}`, secret];
    for (const each of wrong) {
      await assert.rejects(
        addSlot(repository, { kind: 'age-recipients', recipients: [each] }, ''),
        (error: { code?: string; message?: string; detail?: string }) =>
          error.code === 'KEY_AGE_RECIPIENT_INVALID' && !`${error.message} ${error.detail}`.includes(secret),
      );
    }
    await addSlot(repository, { kind: 'age-recipients', recipients: [recipient] }, '');
    const path = join(scratch, 'broken.txt');
    const mistyped = `${secret.slice(0, -1)}${secret.endsWith('Q') ? 'P' : 'Q'}`;
    for (const text of ['', 'hello', '-----BEGIN AGE ENCRYPTED FILE-----\nabc\n', mistyped]) {
      await writeFile(path, text);
      await assert.rejects(open(store, { kind: 'age-identity', path }), { code: 'KEY_AGE_IDENTITY_INVALID' });
    }
  });
});

describe('a slot that was removed where nothing can be deleted', () => {
  it('still opens what it was given, gets no new epoch, and may not write then', async (test) => {
    const keeping = lyingStore((honest) => ({
      delete: async (name) => {
        if (name.startsWith('keys/')) throw new HoldfastError('STORE_DENIED', 'may not delete');
        await honest.delete(name);
      },
    }));
    const { repository, store, scratch } = await createRepository(test, { store: keeping });
    const leaver = await keyFileIn(scratch);
    const slot = await addSlot(repository, leaver, 'leaver');
    await repository.putJson('attestation', 'attest/old', { said: 'old' });
    const ofLeaver = await namesIn(keeping, `keys/${slot}`);
    assert.equal(ofLeaver.length, 2);
    const { left } = await removeSlot(repository, slot);
    assert.deepEqual(
      left.map(({ name }) => name),
      ofLeaver,
    );
    await open(store, leaver);
    await beginEpoch(repository);
    await repository.putJson('attestation', 'attest/new', { said: 'new' });
    await assert.rejects(open(store, leaver), { code: 'KEY_EPOCH_BEHIND' });
    const reader = await open(store, leaver, 'read');
    assert.deepEqual(await reader.getJson('attestation', 'attest/old'), { said: 'old' });
    await assert.rejects(reader.getJson('attestation', 'attest/new'), { code: 'KEY_EPOCH_ABSENT' });
    const states = (await listSlots(repository)).slots.map(({ label, state }) => `${label}: ${state}`);
    assert.deepEqual(states.toSorted(), ['first key: open', 'leaver: removed']);
  });

  it('may not begin an epoch itself, which would lock its own user out', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const second = await keyFileIn(scratch);
    await addSlot(repository, second, 'second');
    const other = await open(store, second);
    const names = await namesIn(store, `keys/${other.slot}`);
    const kept = await Promise.all(names.map(async (name) => [name, await store.get(name)] as const));
    await removeSlot(repository, other.slot);
    for (const [name, bytes] of kept) await store.putIfAbsent(name, bytes);
    await assert.rejects(beginEpoch(other), { code: 'KEY_SLOT_REMOVED' });
    const { slot } = await rotateSlot(other, other.slot, await keyFileIn(scratch), 'third');
    assert.equal(other.slot, slot);
    await beginEpoch(other);
  });
});

describe('somebody who can write to the store and has no key', () => {
  it('gets no new epoch sealed to a slot of theirs, and keeps none from others', async (test) => {
    const { repository, store, scratch, credential } = await createRepository(test);
    const thief = await createRepository(test);
    const theirs = `keys/${thief.repository.slot}`;
    await store.putIfAbsent(theirs, await thief.store.get(theirs));
    await store.putIfAbsent(`keys/${repository.slot}.removed`, Buffer.from('{}'));
    await store.putIfAbsent('keys/epoch.00000009', Buffer.from('{"record":"key-epoch","epoch":9}'));
    const second = await keyFileIn(scratch);
    await addSlot(repository, second, 'second');
    const { slots } = await beginEpoch(repository);
    assert.ok(slots.includes(repository.slot));
    assert.ok(!slots.includes(thief.repository.slot));
    const states = new Map((await listSlots(repository)).slots.map(({ slot, state }) => [slot, state]));
    assert.equal(states.get(thief.repository.slot), 'foreign');
    assert.equal(states.get(repository.slot), 'open');
    for (const each of [credential, second]) assert.equal((await open(store, each)).keys.currentEpoch, 2);
  });

  it('cannot have a repository sealed with keys of theirs by locking them for an identity of age', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const anna = await ageIdentityIn(scratch);
    const recipients = { kind: 'age-recipients', recipients: [anna.recipient] } as const;
    const slot = await addSlot(repository, recipients, 'anna');
    await open(store, anna.credential, 'write', scratch);
    // A repository of the same id and format, with keys that the thief knows.
    const { keys } = await createRepository(test).then((made) => made.repository);
    const { makeKeySlot } = await import('./key-slot.ts');
    const { makeGrant } = await import('./key-records.ts');
    const { KeyRing } = await import('./ring/index.ts');
    const known = KeyRing.fromMaterial({ ...keys.material(), repositoryId: repository.keys.repositoryId });
    const planted = await makeKeySlot({
      keys: known,
      secret: { kind: 'age', recipients: [anna.recipient] },
      label: 'anna',
      createdAt: new Date(0).toISOString(),
    });
    const bundle = { material: known.material(), formatSha256: repository.formatSha256 };
    const to = { slot: planted.slot, slotKey: planted.pair.publicKey };
    await store.putIfAbsent(`keys/${planted.slot}`, planted.bytes);
    const grant = makeGrant(known, to, bundle);
    await store.putIfAbsent(grant.name, grant.bytes);
    await assert.rejects(open(store, anna.credential), { code: 'KEY_SLOT_FORGED' });
    // Hidden, the true one is missed by whoever has seen the repository before.
    await store.delete(`keys/${slot}`);
    await assert.rejects(open(store, anna.credential, 'write', scratch), { code: 'KEY_SIGNER_CHANGED' });
  });
});
