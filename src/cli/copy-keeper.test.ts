import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { cuttablePlace, severalPlaces } from '../../test/support/several-places.ts';
import { storeWith } from '../../test/support/store-with.ts';
import { type Progress, silentProgress, systemClock } from '../lib/index.ts';
import { memoryStore } from '../repository/index.ts';
import { CopyKeeper } from './copy-keeper.ts';

/** Who keeps one copy that takes so long for each object, and what was shown of it. */
function keeperOf(test: TestContext, putMs: number) {
  const memory = memoryStore();
  const inner = storeWith(memory, {
    putIfAbsent: async (name: string, parts: Uint8Array | readonly Uint8Array[]) => {
      await systemClock.sleep(putMs);
      return memory.putIfAbsent(name, parts);
    },
  });
  const places = severalPlaces(test, { copies: [cuttablePlace('west', { inner })] });
  const shown: (string | number)[] = [];
  const progress: Progress = {
    ...silentProgress,
    begin: (stage) => void shown.push(stage),
    advance: (bytes) => void shown.push(bytes),
  };
  const keeper = new CopyKeeper({ store: places.store, clock: systemClock, progress });
  return { keeper, shown, store: places.store };
}

const never = new AbortController().signal;

it('copies that have all already are no stage of their own, whatever they got before', async (test) => {
  const { keeper, shown, store } = keeperOf(test, 0);
  await store.putIfAbsent('format', Buffer.alloc(64));
  await store.putIfAbsent('packs/a', Buffer.alloc(1000));
  await keeper.settle(never);
  const [state] = await keeper.settle(never);
  assert.deepEqual([state?.state, shown], ['in-step', []]);
});

it('copies that are waited for are shown with what they get meanwhile', async (test) => {
  const { keeper, shown, store } = keeperOf(test, 700);
  await store.putIfAbsent('format', Buffer.alloc(64));
  await store.putIfAbsent('packs/a', Buffer.alloc(1000));
  await keeper.settle(never);
  const [stage, ...amounts] = shown;
  assert.equal(stage, 'bringing it to the copies');
  assert.equal(
    amounts.reduce<number>((sum, amount) => sum + Number(amount), 0),
    1064,
  );
});
