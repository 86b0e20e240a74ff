import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
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
} from '../../src/repository/index.ts';
import { namesIn } from '../support/listing.ts';
import { createRepository, keyFileIn } from '../support/memory-repository.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';

/** Orders in which the calls of three people can reach the store; each seed gives another one. */
const ORDERS = Number(process.env.HOLDFAST_ORDERS ?? 50);
const PAUSE_TURNS_MAX = 6;
const GRANT = /\.\d{8}\.\w{32}$/;
const EPOCH_LENGTH = '.00000001'.length;
const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));

/** A store whose calls come a little later, each by a turn or some: so whose call comes first is another one for each seed. */
function unevenStore(inner: ObjectStore, random: Random): ObjectStore {
  const pause = async () => {
    for (let turns = random.below(PAUSE_TURNS_MAX); turns > 0; turns--) await new Promise(setImmediate);
  };
  return new Proxy(inner, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key === 'list') return listLater;
      return async (...given: unknown[]): Promise<unknown> => {
        await pause();
        return value.apply(target, given);
      };

      async function* listLater(...given: Parameters<ObjectStore['list']>) {
        await pause();
        yield* target.list(...given);
      }
    },
  });
}

async function makeWorld(test: TestContext) {
  const { store, credential, repository, scratch } = await createRepository(test, { store: memoryStore() });
  const [second, third, added] = [await keyFileIn(scratch), await keyFileIn(scratch), await keyFileIn(scratch)];
  for (const each of [second, third]) await addSlot(repository, each, 'one more');
  return { store, credentials: [credential, second, third], added };
}

describe('two who begin an epoch at the same moment, while a third adds a key', () => {
  it(`end with one set of keys that every slot has, in ${ORDERS} orders of what they do`, async (test) => {
    test.diagnostic(`HOLDFAST_SEED=${seed} HOLDFAST_ORDERS=${ORDERS}`);
    const random = seededRandom(seed);
    let lost = 0;
    for (let order = 0; order < ORDERS; order++) {
      const { store, credentials, added } = await makeWorld(test);
      const open = (credential: Credential, through: ObjectStore = store) =>
        openRepository({ store: through, credential, access: 'write', clock: systemClock });
      const people = await Promise.all(credentials.map((credential) => open(credential, unevenStore(store, random))));
      const [one, other, third] = people as [Repository, Repository, Repository];
      const begun = await Promise.allSettled([beginEpoch(one), beginEpoch(other), addSlot(third, added, 'added')]);
      const refused = begun.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
      for (const reason of refused) assert.equal(codeOf(reason), 'KEY_EPOCH_CONFLICT', String(reason));
      assert.ok(refused.length <= 1, `order ${order}: somebody begins an epoch`);
      lost += refused.length;
      for (const [i, repository] of people.entries()) {
        await repository.putJson('attestation', `attest/${i}`, { said: i });
      }
      const materials = new Set<string>();
      for (const credential of [...credentials, added]) {
        const reader = await open(credential);
        materials.add(JSON.stringify(reader.keys.material().epochs.map(({ epoch, key }) => [epoch, [...key]])));
        for (const i of people.keys())
          assert.deepEqual(await reader.getJson('attestation', `attest/${i}`), { said: i });
        await reader.putJson('attestation', `attest/by-${reader.slot}`, { said: 'later' });
      }
      const grants = (await namesIn(store, 'keys/')).flatMap((name) => GRANT.exec(name)?.[0] ?? []);
      const [numbers, keys] = [new Set(grants.map((name) => name.slice(0, EPOCH_LENGTH))), new Set(grants)];
      assert.equal(keys.size, numbers.size, `order ${order}: one key for each number is left`);
      assert.equal(materials.size, 1, `order ${order}: all have the same keys`);
      const reader = await open(added);
      for await (const { name } of store.list('attest/')) await reader.getJson('attestation', name);
      const { slots } = await listSlots(reader);
      assert.deepEqual(
        slots.map(({ state, epoch }) => [state, epoch]),
        slots.map(() => ['open', reader.keys.currentEpoch]),
      );
    }
    test.diagnostic(`epochs that were lost to another: ${lost}`);
    assert.ok(lost > 0, 'the two really met');
  });
});
