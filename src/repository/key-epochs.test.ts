import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { namesIn } from '../../test/support/listing.ts';
import { createRepository, keyFileIn } from '../../test/support/memory-repository.ts';
import { makeSlotOfVersion1 } from '../../test/support/slot-of-version-1.ts';
import { storeWith } from '../../test/support/store-with.ts';
import { HoldfastError, systemClock } from '../lib/index.ts';
import type { Credential } from './key/index.ts';
import { beginEpoch } from './key-epochs.ts';
import { addSlot, listSlots, removeSlot } from './key-slots.ts';
import { memoryStore, type ObjectStore } from './object-store/index.ts';
import { openRepository } from './open-repository.ts';

const clock = systemClock;

const open = (store: ObjectStore, credential: Credential, access: 'read' | 'write' = 'write') =>
  openRepository({ store, credential, access, clock });

async function makeWorld(test: TestContext, store: ObjectStore = memoryStore()) {
  const made = await createRepository(test, { store });
  const second = await keyFileIn(made.scratch);
  const secondSlot = await addSlot(made.repository, second, 'second');
  return { ...made, second, secondSlot };
}

/** Turns a byte of an object over, in the place itself. */
async function damage(store: ObjectStore, name: string): Promise<void> {
  const bytes = Buffer.from(await store.get(name));
  bytes[bytes.length >> 1]! ^= 1;
  await store.delete(name);
  await store.putIfAbsent(name, bytes);
}

describe('a new epoch', () => {
  it('passes over a number under which something lies that nobody with the keys has put there', async (test) => {
    const { repository, store, credential, second } = await makeWorld(test);
    await store.putIfAbsent('keys/epoch.00000002', Buffer.from('{"record":"key-epoch","epoch":2}'));
    assert.equal((await beginEpoch(repository)).epoch, 3);
    await repository.putJson('attestation', 'attest/new', { said: 'new' });
    for (const each of [credential, second]) {
      const reader = await open(store, each);
      assert.equal(reader.keys.currentEpoch, 3);
      assert.deepEqual(await reader.getJson('attestation', 'attest/new'), { said: 'new' });
    }
  });

  it('leaves what an epoch sealed readable whose mark was damaged before this one began', async (test) => {
    const { repository, store, credential, second } = await makeWorld(test);
    await beginEpoch(repository);
    await repository.putJson('attestation', 'attest/2', { said: 2 });
    await damage(store, 'keys/epoch.00000002');
    // Whoever opens it now does not know of epoch 2, and begins the next one without its key.
    const later = await open(store, second);
    assert.equal(later.keys.currentEpoch, 1);
    assert.equal((await beginEpoch(later)).epoch, 3);
    await later.putJson('attestation', 'attest/3', { said: 3 });
    for (const each of [credential, second]) {
      const reader = await open(store, each);
      for (const said of [2, 3]) assert.deepEqual(await reader.getJson('attestation', `attest/${said}`), { said });
    }
  });

  it('is given up, and its grants taken back, where a mark of nobody comes first', async (test) => {
    const inner = memoryStore();
    const { repository, credential } = await makeWorld(test, inner);
    const racing = storeWith(inner, {
      putIfAbsent: async (name: string, bytes: Uint8Array | readonly Uint8Array[]) => {
        if (name.startsWith('keys/epoch.')) await inner.putIfAbsent(name, Buffer.from('somebody without a key'));
        return inner.putIfAbsent(name, bytes);
      },
    });
    await assert.rejects(beginEpoch(await open(racing, credential)), { code: 'KEY_SLOT_CONFLICT', retryable: true });
    assert.deepEqual(
      (await namesIn(inner, 'keys/')).filter((name) => name.includes('.00000002.')),
      [],
    );
    assert.equal((await beginEpoch(repository)).epoch, 3);
  });

  it('is lost to whoever was faster also where grants may not be taken back, and nobody uses those', async (test) => {
    const inner = memoryStore();
    const { credential, second } = await makeWorld(test, inner);
    let isFirst = true;
    const racing = storeWith(inner, {
      putIfAbsent: async (name: string, bytes: Uint8Array | readonly Uint8Array[]) => {
        if (name.startsWith('keys/epoch.') && isFirst) {
          isFirst = false;
          await beginEpoch(await open(inner, second));
        }
        return inner.putIfAbsent(name, bytes);
      },
      delete: async () => {
        throw new HoldfastError('STORE_DENIED', 'may not delete');
      },
    });
    const loser = await open(racing, credential);
    await assert.rejects(beginEpoch(loser), { code: 'KEY_EPOCH_CONFLICT' });
    await loser.putJson('attestation', 'attest/loser', { said: 'with the key of the other one' });
    for (const each of [credential, second]) {
      const reader = await open(inner, each);
      assert.deepEqual(reader.keys.material().epochs, loser.keys.material().epochs);
      await reader.getJson('attestation', 'attest/loser');
    }
    const states = (await listSlots(loser)).slots.map(({ state, epoch }) => [state, epoch]);
    assert.deepEqual(states, [
      ['open', 2],
      ['open', 2],
    ]);
  });

  it('is begun by nobody who was left out of the one before', async (test) => {
    const inner = memoryStore();
    const kept = storeWith(inner, {
      delete: async () => {
        throw new HoldfastError('STORE_DENIED', 'may not delete');
      },
    });
    const { repository, second, secondSlot } = await makeWorld(test, kept);
    const leaver = await open(kept, second);
    await removeSlot(repository, secondSlot);
    await beginEpoch(repository);
    const before = await namesIn(kept, 'keys/');
    await assert.rejects(beginEpoch(leaver), { code: 'KEY_EPOCH_BEHIND', detail: /epoch 2/ });
    assert.deepEqual(await namesIn(kept, 'keys/'), before);
  });

  it('waits for a slot of the first form to be rotated, unless it is the one in use', async (test) => {
    const { repository, store, scratch } = await makeWorld(test);
    const other = await keyFileIn(scratch);
    assert.ok(other.kind === 'key-file');
    const { formatSha256, keys } = repository;
    const old = await makeSlotOfVersion1({
      material: keys.material(),
      formatSha256,
      keyFile: other.path,
      label: 'old',
    });
    await store.putIfAbsent(old.name, old.bytes);
    const before = await namesIn(store, 'keys/');
    await assert.rejects(beginEpoch(repository), { code: 'KEY_SLOT_OUTDATED', detail: new RegExp(old.slot) });
    assert.deepEqual(await namesIn(store, 'keys/'), before);
    assert.equal((await beginEpoch(await open(store, other))).epoch, 2);
  });
});

describe('a grant', () => {
  it('opens nothing under the name of another epoch, number or fingerprint', async (test) => {
    const { repository, store, credential } = await makeWorld(test);
    await beginEpoch(repository);
    await repository.putJson('attestation', 'attest/new', { said: 'new' });
    const [first = '', second = ''] = await namesIn(store, `keys/${repository.slot}.`);
    const bytes = await store.get(first);
    await store.delete(second);
    await store.putIfAbsent(second, bytes);
    await assert.rejects(open(store, credential), { code: 'KEY_EPOCH_BEHIND' });
    const fingerprint = second.split('.').at(-1)!;
    await store.putIfAbsent(second.replace(fingerprint, 'ab'.repeat(16)), bytes);
    await assert.rejects(open(store, credential), { code: 'KEY_EPOCH_BEHIND' });
  });
});
