import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { codeOf, systemClock } from '../../src/lib/index.ts';
import {
  addSlot,
  beginEpoch,
  type Credential,
  listSlots,
  memoryStore,
  type ObjectStore,
  openRepository,
  type Repository,
  removeSlot,
  rotateSlot,
} from '../../src/repository/index.ts';
import { namesIn } from '../support/listing.ts';
import { createRepository, keyFileIn } from '../support/memory-repository.ts';
import { makeSlotOfVersion1 } from '../support/slot-of-version-1.ts';
import { stopStoreAt } from '../support/stopping-store.ts';
import { storeWith } from '../support/store-with.ts';

const clock = systemClock;
/** More changes than any of these makes. */
const CHANGES_MAX = 60;

interface World {
  store: ObjectStore;
  own: Credential;
  other: Credential;
  fresh: Credential;
  otherSlot: string;
  /** What happens once, just before the mark of an epoch is put. */
  beforeMark: (() => Promise<void>) | null;
}

interface Change {
  title: string;
  run: (repository: Repository, world: World) => Promise<unknown>;
  /** The keys of which one at least has to open the repository, at every moment. */
  one: (world: World) => Credential[];
  /** The keys that have to open it at every moment. */
  all: (world: World) => Credential[];
}

const changes: Change[] = [
  {
    title: 'a key is added',
    run: (repository, { fresh }) => addSlot(repository, fresh, 'fresh'),
    one: ({ own }) => [own],
    all: ({ own, other }) => [own, other],
  },
  {
    title: 'another key is removed',
    run: (repository, { otherSlot }) => removeSlot(repository, otherSlot),
    one: ({ own }) => [own],
    all: ({ own }) => [own],
  },
  {
    title: 'the key in use is rotated',
    run: (repository, { fresh }) => rotateSlot(repository, repository.slot, fresh, 'fresh'),
    one: ({ own, fresh }) => [own, fresh],
    all: ({ other }) => [other],
  },
  {
    title: 'a new epoch is begun',
    run: (repository) => beginEpoch(repository),
    one: ({ own }) => [own],
    all: ({ own, other }) => [own, other],
  },
  {
    title: 'a new epoch is begun, and somebody else is faster',
    run: async (repository, world) => {
      world.beforeMark = async () => void (await beginEpoch(await open(world.store, world.other)));
      await assert.rejects(beginEpoch(repository), { code: 'KEY_EPOCH_CONFLICT', retryable: true });
      assert.equal(repository.keys.currentEpoch, 2, 'it goes on with the epoch that began');
      const names = await namesIn(world.store, 'keys/');
      assert.equal(names.filter((name) => name.includes('.00000002.')).length, 2, 'nothing of the other key is left');
    },
    one: ({ own }) => [own],
    all: ({ own, other }) => [own, other],
  },
];

async function makeWorld(test: TestContext, form: 'today' | 'version 1'): Promise<World> {
  const inner = memoryStore();
  const { repository, credential: own, scratch } = await createRepository(test, { store: inner });
  const [other, fresh] = [await keyFileIn(scratch), await keyFileIn(scratch)];
  const otherSlot = await addSlot(repository, other, 'other');
  await repository.putJson('attestation', 'attest/before', { said: 'before' });
  if (form === 'version 1') await makeOwnSlotOld(repository, inner, own);
  const world: World = { store: storeWith(inner, { putIfAbsent }), own, other, fresh, otherSlot, beforeMark: null };
  return world;

  async function putIfAbsent(name: string, bytes: Uint8Array | readonly Uint8Array[]) {
    const { beforeMark } = world;
    if (beforeMark !== null && name.startsWith('keys/epoch.')) {
      world.beforeMark = null;
      await beforeMark();
    }
    return inner.putIfAbsent(name, bytes);
  }
}

/** As if the repository had been made by the first version, and the other key added since. */
async function makeOwnSlotOld(repository: Repository, store: ObjectStore, own: Credential): Promise<void> {
  assert.ok(own.kind === 'key-file');
  const { formatSha256, keys, slot } = repository;
  const old = await makeSlotOfVersion1({ material: keys.material(), formatSha256, keyFile: own.path, label: 'old' });
  await store.putIfAbsent(old.name, old.bytes);
  for (const name of await namesIn(store, `keys/${slot}`)) await store.delete(name);
}

function open(store: ObjectStore, credential: Credential, access: 'read' | 'write' = 'write') {
  return openRepository({ store, credential, access, clock });
}

async function opens(store: ObjectStore, credential: Credential): Promise<boolean> {
  try {
    await readAll(store, await open(store, credential));
    return true;
  } catch (error) {
    if (codeOf(error) !== 'REPOSITORY_KEY_REJECTED') throw error;
    return false;
  }
}

/** With the first of these keys that opens and was not marked as removed. */
async function openWithKept(store: ObjectStore, credentials: readonly Credential[]): Promise<Repository> {
  for (const credential of credentials) {
    if (!(await opens(store, credential))) continue;
    const repository = await open(store, credential);
    const { slots } = await listSlots(repository);
    if (slots.some(({ inUse, state }) => inUse && state !== 'removed')) return repository;
  }
  throw new Error('no key is left that was not removed');
}

/** Whoever has the newest keys reads every object that was ever written. */
async function readAll(store: ObjectStore, repository: Repository): Promise<void> {
  for await (const { name } of store.list('attest/')) await repository.getJson('attestation', name);
}

for (const form of ['today', 'version 1'] as const) {
  for (const { title, run, one, all } of changes) {
    describe(`when ${title} (slots as of ${form}) and everything stops`, () => {
      for (const when of ['before', 'after'] as const) {
        it(`${when} any change of the store, the repository opens with the old or the new key, and goes on`, async (test) => {
          for (let stopAt = 1; ; stopAt++) {
            assert.ok(stopAt < CHANGES_MAX, 'the change comes to an end');
            const world = await makeWorld(test, form);
            const stopping = stopStoreAt(world.store, stopAt, when);
            const repository = await open(stopping.store, world.own);
            // What still runs with the keys of before, and what it writes meanwhile.
            const running = await open(world.store, world.other);
            const outcome = await run(repository, world).then(
              () => 'done',
              (error: unknown) => error,
            );
            world.beforeMark = null;
            await running.putJson('attestation', 'attest/meanwhile', { said: 'meanwhile' });
            const opened = await Promise.all(one(world).map((credential) => opens(world.store, credential)));
            assert.ok(
              opened.includes(true),
              `none opens: stopped ${when} change ${stopAt}, ${stopping.changes.at(-1)}`,
            );
            for (const credential of all(world)) assert.equal(await opens(world.store, credential), true);
            // The change can be made again by whoever has a key, and what is written then can be read by all who have one.
            const again = await openWithKept(world.store, one(world));
            const { epoch } = await beginEpoch(again);
            await again.putJson('attestation', 'attest/after', { said: 'after' });
            for (const credential of all(world)) {
              const reader = await open(world.store, credential, 'read');
              assert.deepEqual(await reader.getJson('attestation', 'attest/after'), { said: 'after' });
              await readAll(world.store, reader);
            }
            const states = (await listSlots(again)).slots.filter(({ state }) => state === 'open');
            assert.deepEqual(new Set(states.map((slot) => slot.epoch)), new Set([epoch]));
            if (!stopping.hasStopped) {
              assert.equal(outcome, 'done');
              break;
            }
          }
        });
      }
    });
  }
}

describe('two who change keys at once', () => {
  it('one begins an epoch while the other adds a key, which has it then', async (test) => {
    for (let pause = 0; pause < 12; pause++) {
      const { store, own, other, fresh } = await makeWorld(test, 'today');
      const [adding, beginning] = [await open(store, other), await open(store, own)];
      const begun = beginEpoch(beginning);
      for (let i = 0; i < pause; i++) await new Promise(setImmediate);
      await Promise.all([begun, addSlot(adding, fresh, 'fresh')]);
      await beginning.putJson('attestation', 'attest/new', { said: 'new' });
      await readAll(store, await open(store, fresh));
    }
  });
});
