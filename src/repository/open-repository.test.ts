import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { flipBit } from '../../test/support/bits.ts';
import { FaultyStore } from '../../test/support/faulty-store.ts';
import { namesIn } from '../../test/support/listing.ts';
import { lyingStore } from '../../test/support/lying-store.ts';
import { createRepository, keyFileIn, scratchFor } from '../../test/support/memory-repository.ts';
import { makeSlotOfVersion1 } from '../../test/support/slot-of-version-1.ts';
import { codeOf, type HoldfastError, systemClock } from '../lib/index.ts';
import { initRepository } from './init-repository.ts';
import { type Credential, drawKeyMaterial, nameEpochs } from './key/index.ts';
import { memoryStore, type ObjectStore, openStore } from './object-store/index.ts';
import { openRepository } from './open-repository.ts';
import type { Repository } from './repository.ts';
import type { Access } from './sealed/index.ts';

const clock = systemClock;

async function replace(store: ObjectStore, name: string, bytes: Uint8Array): Promise<void> {
  await store.delete(name);
  await store.putIfAbsent(name, bytes);
}

/** A store with a `format` of our making, and the key that belongs to it. */
async function withFormat(test: TestContext, text: string) {
  const store = memoryStore();
  const credential = await keyFileIn(await scratchFor(test, 'repository'));
  const id = /"id": ?"([0-9a-f]{32})"/.exec(text)?.[1];
  if (id !== undefined) {
    const repositoryId = Buffer.from(id, 'hex');
    const formatSha256 = createHash('sha256').update(text).digest('hex');
    assert.ok(credential.kind === 'key-file');
    const material = drawKeyMaterial(repositoryId);
    const { name, bytes } = await makeSlotOfVersion1({ material, formatSha256, keyFile: credential.path });
    await store.putIfAbsent(name, bytes);
  }
  await store.putIfAbsent('format', Buffer.from(text));
  return { store, credential };
}

const sound = {
  magic: 'holdfast-repository',
  version: 1,
  id: 'ab'.repeat(16),
  createdAt: '2026-01-01T00:00:00.000Z',
  chunkId: 'hmac-sha256',
  chunkSize: 1048576,
  compression: { algorithm: 'zstd', level: 1 },
  cipher: 'aes-256-gcm',
};

/** All that an `init` writes. */
function namesOfNew({ slot, keys }: Repository): string[] {
  const { fingerprint } = nameEpochs(keys.material())[0]!;
  return ['features/read.key-slots-3', 'format', `keys/${slot}`, `keys/${slot}.00000001.${fingerprint}`];
}

function open(store: ObjectStore, credential: Credential, access: Access = 'read') {
  return openRepository({ store, credential, access, clock });
}

describe('opening a repository', () => {
  it('succeeds with the key it was created with', async (test) => {
    const { repository, open: openAgain } = await createRepository(test);
    const opened = await openAgain();
    assert.equal(opened.id, repository.id);
    assert.deepEqual(opened.format, repository.format);
    assert.equal(opened.slot, repository.slot);
    assert.deepEqual(opened.keys.material(), repository.keys.material());
  });

  it('takes what the format states, and nothing else, for a repository', async (test) => {
    const { store, credential } = await withFormat(test, JSON.stringify(sound));
    assert.deepEqual((await open(store, credential)).format, sound);
  });

  it('says that there is nothing where there is nothing, or no such place', async (test) => {
    const scratch = await scratchFor(test, 'repository');
    const credential = await keyFileIn(scratch);
    const hinting = (pattern: RegExp) => (error: HoldfastError) =>
      error.code === 'REPOSITORY_ABSENT' && pattern.test(error.hints[0]!);
    await assert.rejects(open(memoryStore(), credential), hinting(/bucket/));
    await assert.rejects(open(openStore(join(scratch, 'none')), credential), hinting(/disk is mounted/));
    await mkdir(join(scratch, 'empty', 'lost+found'), { recursive: true });
    await assert.rejects(open(openStore(join(scratch, 'empty')), credential), { code: 'REPOSITORY_ABSENT' });
  });

  it('tells a half-created one, a foreign place and one that lost its format apart', async (test) => {
    const credential = await keyFileIn(await scratchFor(test, 'repository'));
    const [half, foreign, lost] = [memoryStore(), memoryStore(), memoryStore()];
    await half.putIfAbsent(`keys/${'0'.repeat(32)}`, Buffer.from('{}'));
    await foreign.putIfAbsent('photo.jpg', Buffer.from('x'));
    await lost.putIfAbsent(`keys/${'0'.repeat(32)}`, Buffer.from('{}'));
    await lost.putIfAbsent('index/a', Buffer.from('x'));
    await assert.rejects(open(half, credential), {
      code: 'REPOSITORY_HALF_CREATED',
      hints: ['Run `holdfast repository init` again.'],
    });
    await assert.rejects(open(foreign, credential), { code: 'REPOSITORY_FOREIGN', detail: /photo\.jpg/ });
    await assert.rejects(open(lost, credential), { code: 'REPOSITORY_FORMAT_ABSENT', detail: /index\/a/ });
  });

  it('takes a format that was overwritten, beside key slots of ours, for a damaged one', async (test) => {
    const { store, credential } = await withFormat(test, 'overwritten');
    await store.putIfAbsent(`keys/${'0'.repeat(32)}`, Buffer.from('{}'));
    await assert.rejects(open(store, credential), { code: 'REPOSITORY_FORMAT_DAMAGED' });
  });

  for (const [title, text, code] of [
    ['somebody else’s JSON', '{"version": 7, "id": "x"}', 'REPOSITORY_FOREIGN'],
    ['somebody else’s text', 'hello', 'REPOSITORY_FOREIGN'],
    ['nothing', '', 'REPOSITORY_FOREIGN'],
    ['a broken one of ours', JSON.stringify(sound).slice(0, 90), 'REPOSITORY_FORMAT_DAMAGED'],
    ['one of ours without an id', JSON.stringify({ ...sound, id: 7 }), 'REPOSITORY_FORMAT_DAMAGED'],
    ['a newer one', JSON.stringify({ ...sound, version: 2, more: true }), 'REPOSITORY_NEWER'],
    ['one with another cipher', JSON.stringify({ ...sound, cipher: 'rot-13' }), 'REPOSITORY_FORMAT_UNRECOGNIZED'],
    [
      'one with another chunk identity',
      JSON.stringify({ ...sound, chunkId: 'blake3' }),
      'REPOSITORY_FORMAT_UNRECOGNIZED',
    ],
    ['one with something more', JSON.stringify({ ...sound, more: true }), 'REPOSITORY_FORMAT_UNRECOGNIZED'],
  ] as const) {
    it(`says ${code} when "format" is ${title}`, async (test) => {
      const { store, credential } = await withFormat(test, text);
      await assert.rejects(open(store, credential), { code });
    });
  }

  it('names the algorithm that it does not recognize', async (test) => {
    const { store, credential } = await withFormat(test, JSON.stringify({ ...sound, cipher: 'rot-13' }));
    await assert.rejects(open(store, credential), { detail: /"cipher"/ });
  });

  it('fails with any bit of "format" turned over, and never blames the key where another object shows whose it is', async (test) => {
    const { repository, store, credential } = await createRepository(test);
    await repository.putBody('ledger', `ledger/${'0'.repeat(32)}/1`, Buffer.from('x'));
    const bytes = await store.get('format');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      await replace(store, 'format', flipBit(bytes, bit));
      await assert.rejects(open(store, credential), (error: Error) => {
        const code = codeOf(error) ?? '';
        assert.match(code, /^REPOSITORY_(FORMAT_CHANGED|FORMAT_DAMAGED|NEWER)$/, `bit ${bit}: ${code}`);
        return true;
      });
    }
    await replace(store, 'format', bytes);
    await open(store, credential);
  });

  for (const what of ['slot', 'grant'] as const) {
    it(`fails with any bit of its only key ${what} turned over`, async (test) => {
      const { store, credential, repository } = await createRepository(test);
      const [, , slot, grant] = namesOfNew(repository);
      const name = (what === 'slot' ? slot : grant)!;
      const bytes = await store.get(name);
      // Of what is ciphertext or signature, each of which is one whole, a sample will do.
      const secretAt = bytes.indexOf(what === 'slot' ? '"slotKey"' : '"ephemeral"') * 8;
      for (let bit = 0; bit < bytes.length * 8; bit += bit < secretAt ? 1 : 11) {
        await replace(store, name, flipBit(bytes, bit));
        await assert.rejects(open(store, credential), { code: 'REPOSITORY_KEY_REJECTED' }, `bit ${bit}`);
      }
      await replace(store, name, bytes);
      await open(store, credential);
    });
  }

  it('fails with the wrong key, and with a slot of another repository', async (test) => {
    const { store, credential, scratch } = await createRepository(test);
    const other = await createRepository(test);
    await assert.rejects(open(store, await keyFileIn(scratch)), {
      code: 'REPOSITORY_KEY_REJECTED',
      detail: /does not fit the one key slot for a key file/,
    });
    await assert.rejects(open(store, { kind: 'passphrase', passphrase: 'x' }), {
      code: 'REPOSITORY_KEY_REJECTED',
      detail: /none of its key slots is for a passphrase/,
    });
    const slot = `keys/${other.repository.slot}`;
    await store.putIfAbsent(slot, await other.store.get(slot));
    await assert.rejects(open(store, other.credential), { code: 'REPOSITORY_KEY_REJECTED' });
    assert.ok(await open(store, credential));
  });

  it('names slots that cannot be read, and is not kept from opening by them', async (test) => {
    const { store, credential, scratch } = await createRepository(test);
    const name = `keys/${'0'.repeat(32)}`;
    await store.putIfAbsent(name, Buffer.from('{"version":'));
    assert.ok(await open(store, credential));
    await assert.rejects(open(store, await keyFileIn(scratch)), {
      code: 'REPOSITORY_KEY_REJECTED',
      detail: new RegExp(name),
    });
  });

  it('spends no memory and no time as a forged slot asks for', async (test) => {
    const { store } = await createRepository(test);
    const salt = Buffer.alloc(16).toString('base64');
    const kdf = { algorithm: 'argon2id', memoryKiB: 2 ** 40, passes: 3, lanes: 4, salt };
    const slots = [
      kdf,
      { ...kdf, memoryKiB: 65_536, passes: 10 ** 9 },
      { ...kdf, memoryKiB: 65_536, lanes: 10 ** 6 },
      { algorithm: 'hkdf-sha256', salt },
    ];
    for (const [i, asked] of slots.entries()) {
      const slot = String(i).padStart(32, '0');
      const head = { version: 1, slot, kind: 'passphrase', label: '', createdAt: sound.createdAt, kdf: asked };
      const document = {
        ...head,
        nonce: randomBytes(12).toString('base64'),
        wrapped: randomBytes(400).toString('base64'),
      };
      await store.putIfAbsent(`keys/${slot}`, Buffer.from(JSON.stringify(document)));
    }
    await assert.rejects(open(store, { kind: 'passphrase', passphrase: 'x' }), {
      code: 'REPOSITORY_KEY_REJECTED',
      detail: /none of its key slots is for a passphrase/,
    });
  });

  it('fails as the store does, and does not take a failure for an absence', async (test) => {
    const { store, credential } = await createRepository(test);
    for (const [call, name] of [
      ['get', 'format'],
      ['list', 'features/'],
      ['list', 'keys/'],
      ['get', 'keys/'],
    ] as const) {
      const faulty = new FaultyStore(store).plan({ kind: 'fail', call, name });
      await assert.rejects(open(faulty, credential), { code: 'STORE_UNAVAILABLE' });
    }
  });
});

describe('features that this version does not know', () => {
  const uses: Access[] = ['read', 'write', 'prune'];

  for (const [feature, allowed] of [
    ['read.erasure-1', []],
    ['write.something', ['read']],
    ['prune.something', ['read', 'write']],
    ['juggle.balls', []],
    ['without-a-use', []],
  ] as const) {
    it(`leave ${allowed.join(' and ') || 'nothing'} of a repository with "${feature}"`, async (test) => {
      const { store, credential } = await createRepository(test);
      await store.putIfAbsent(`features/${feature}`, Buffer.from('{}'));
      for (const access of uses) {
        if ((allowed as readonly string[]).includes(access))
          assert.equal((await open(store, credential, access)).access, access);
        else
          await assert.rejects(open(store, credential, access), {
            code: 'REPOSITORY_FEATURE_UNRECOGNIZED',
            message: new RegExp(feature),
          });
      }
    });
  }
});

describe('creating a repository', () => {
  it('writes a slot and what is granted to it, and then "format", and makes the place', async (test) => {
    const scratch = await scratchFor(test, 'repository');
    const store = openStore(join(scratch, 'new', 'place'));
    const repository = await initRepository({ store, credential: await keyFileIn(scratch), clock, label: 'mine' });
    assert.deepEqual(await namesIn(store), namesOfNew(repository));
    assert.equal(JSON.parse((await store.get(`keys/${repository.slot}`)).toString()).label, 'mine');
    assert.equal(repository.access, 'write');
  });

  it('leaves an existing repository as it is', async (test) => {
    const { store, credential } = await createRepository(test);
    const before = await namesIn(store);
    await assert.rejects(initRepository({ store, credential, clock }), { code: 'REPOSITORY_EXISTS' });
    assert.deepEqual(await namesIn(store), before);
    await open(store, credential);
  });

  it('touches nothing of somebody else’s', async (test) => {
    const scratch = await scratchFor(test, 'repository');
    const credential = await keyFileIn(scratch);
    await mkdir(join(scratch, 'photos'));
    await writeFile(join(scratch, 'photos', 'Anna am Meer.jpg'), 'x');
    const store = openStore(join(scratch, 'photos'));
    await assert.rejects(initRepository({ store, credential, clock }), {
      code: 'REPOSITORY_PLACE_NOT_EMPTY',
      detail: /Anna am Meer/,
    });
    assert.deepEqual(await namesIn(store), ['Anna am Meer.jpg']);
  });

  it('does not make a new repository out of one that lost its format', async (test) => {
    const { store, credential, repository } = await createRepository(test);
    await repository.putBody('index', 'index/a', Buffer.from('x'));
    await store.delete('format');
    await assert.rejects(initRepository({ store, credential, clock }), { code: 'REPOSITORY_FORMAT_ABSENT' });
  });

  it('goes on after it was broken off anywhere, and then one key opens one set of keys', async (test) => {
    const scratch = await scratchFor(test, 'repository');
    const credential = await keyFileIn(scratch);
    for (const kind of ['fail', 'lose-answer'] as const) {
      for (const name of ['keys/', 'format']) {
        const store = memoryStore();
        const faulty = new FaultyStore(store).plan({ kind, call: 'putIfAbsent', name });
        await assert.rejects(initRepository({ store: faulty, credential, clock }), { code: 'STORE_UNAVAILABLE' });
        const finished = kind === 'lose-answer' && name === 'format';
        if (finished) {
          await assert.rejects(initRepository({ store, credential, clock }), { code: 'REPOSITORY_EXISTS' });
          await open(store, credential);
          continue;
        }
        const leftBehind = await namesIn(store);
        const code = leftBehind.length > 0 ? 'REPOSITORY_HALF_CREATED' : 'REPOSITORY_ABSENT';
        await assert.rejects(open(store, credential), { code });
        const created = await initRepository({ store, credential, clock });
        const opened = await open(store, credential);
        assert.deepEqual(opened.keys.material(), created.keys.material());
        assert.equal(opened.slot, created.slot);
        assert.ok(leftBehind.every((name) => name !== `keys/${opened.slot}`));
        for (const name of leftBehind) assert.ok(await store.stat(name), 'nothing is replaced');
      }
    }
  });

  it('lets one of several that try at once win, whose key opens it, while the others leave nothing', async (test) => {
    const scratch = await scratchFor(test, 'repository');
    const store = memoryStore();
    const credentials = await Promise.all(Array.from({ length: 6 }, () => keyFileIn(scratch)));
    const tries = await Promise.allSettled(
      credentials.map((credential) => initRepository({ store, credential, clock })),
    );
    const winners = tries.filter((attempt) => attempt.status === 'fulfilled');
    assert.equal(winners.length, 1);
    for (const attempt of tries)
      if (attempt.status === 'rejected') assert.equal(codeOf(attempt.reason), 'REPOSITORY_EXISTS');
    const winner = tries.findIndex((attempt) => attempt.status === 'fulfilled');
    assert.equal((await open(store, credentials[winner]!)).id, winners[0]!.value.id);
    assert.deepEqual(await namesIn(store), namesOfNew(winners[0]!.value));
  });

  it('takes its own "format" for its own when the answer was lost and the call repeated', async (test) => {
    const store = memoryStore();
    const forgetful = lyingStore(
      (honest) => ({
        putIfAbsent: async (name, bytes) => {
          const outcome = await honest.putIfAbsent(name, bytes);
          return name === 'format' ? 'exists' : outcome;
        },
      }),
      store,
    );
    const credential = await keyFileIn(await scratchFor(test, 'repository'));
    await initRepository({ store: forgetful, credential, clock });
    await open(store, credential);
  });
});
