import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backUpChunks, readWholeSnapshot } from '../../../test/support/chunk-backup.ts';
import { pruneOnce } from '../../../test/support/prune-once.ts';
import { assertClean, makePrunePlace, pruneForDays } from '../../../test/support/prune-place.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { HoldfastError } from '../../lib/index.ts';
import type { ObjectStore, PutOutcome } from '../object-store/index.ts';
import { listForgottenIds, listPendingIds } from '../snapshot/index.ts';
import { writeTombstone } from '../tombstone/index.ts';

const DAY_MS = 24 * 60 * 60_000;

describe('what cannot be deleted yet', () => {
  it('because it is locked is told, tried again, and keeps what stands on it', async (test) => {
    const locked = new Map<string, number>();
    const lockFor = 30 * DAY_MS;
    const refusing = (store: ObjectStore) => {
      const note = async (name: string, outcome: PutOutcome) => {
        if (outcome === 'created' && !name.startsWith('volatile/')) locked.set(name, (await store.now()) + lockFor);
        return outcome;
      };
      return storeWith(store, {
        putIfAbsent: async (name: string, parts: Uint8Array | readonly Uint8Array[]) =>
          note(name, await store.putIfAbsent(name, parts)),
        putFileIfAbsent: async (name: string, path: string) => note(name, await store.putFileIfAbsent(name, path)),
        delete: async (name: string) => {
          if ((locked.get(name) ?? 0) > (await store.now()))
            throw new HoldfastError('OBJECT_LOCKED', `cannot delete object "${name}": it is locked`);
          await store.delete(name);
        },
      });
    };
    const world = await makePrunePlace(test, refusing);
    const { clock, chunk, names, prune, backUp, repository } = world;
    const old = await backUp({ a: [chunk()] });
    const kept = await backUp({ b: [chunk()] });
    clock.step(3 * DAY_MS);
    const first = await prune({ forget: [old.id] });
    assert.deepEqual([first.result.forgotten, first.result.isToBeRepeated], [[], true]);
    assert.deepEqual(
      first.result.waiting.filter(({ reason }) => reason === 'locked').map(({ name }) => name),
      [`snapshots/pending/${old.id}`],
    );
    assert.deepEqual(await names('tombstones/'), [], 'what is listed keeps what it needs');
    await readWholeSnapshot(repository, old);
    clock.step(28 * DAY_MS);
    await backUp({ c: [chunk()] });
    assert.deepEqual((await prune({ forget: [old.id] })).result.forgotten, [old.id]);
    await pruneForDays(clock, prune, 60);
    await readWholeSnapshot(repository, kept);
    await assertClean(repository);
  });

  it('because the primary has it still stays in a copy, announced by nobody', async (test) => {
    const { clock, chunk, names, prune, backUp } = await makePrunePlace(test);
    const old = await backUp({ a: [chunk()] });
    await backUp({ b: [chunk()] });
    clock.step(3 * DAY_MS);
    const inPrimary = new Set(await names('packs/'));
    const keeps = async (name: string) => inPrimary.has(name);
    const { result } = await prune({ forget: [old.id], keeps });
    assert.equal(result.announced.packs, 0);
    assert.equal(result.waiting.filter(({ reason }) => reason === 'primary').length, 2);
    inPrimary.clear();
    assert.equal((await prune({ keeps })).result.announced.packs, 2);
  });

  it('because the primary has it still is not withdrawn in a copy, where that would keep the record of the primary out for good', async (test) => {
    const { clock, inner, repository, chunk, prune } = await makePrunePlace(test);
    const stop = async (moment: string) => assert.notEqual(moment, 'announced');
    await assert.rejects(backUpChunks(repository, { a: [chunk()] }, { at: stop }));
    const [id = ''] = await listPendingIds(repository);
    clock.step(3 * DAY_MS);
    for (const kept of [`snapshots/pending/${id}`, `snapshots/committed/${id}`]) {
      const { result } = await prune({ keeps: async (name) => name === kept });
      assert.deepEqual(result.withdrawn, []);
      const told = { name: `snapshots/pending/${id}`, bytes: 0, reason: 'primary', until: null };
      assert.deepEqual(
        result.waiting.filter(({ name }) => name.startsWith('snapshots/')),
        [told],
      );
      assert.equal(await inner.stat(`snapshots/committed/${id}`), null);
    }
    assert.deepEqual((await prune({ keeps: async () => false })).result.withdrawn, [id]);
  });

  it('because a hold came meanwhile is told, and goes once that is over', async (test) => {
    const { clock, inner, repository, chunk, names, prune, backUp } = await makePrunePlace(test);
    const [first, second] = [await backUp({ a: [chunk()] }), await backUp({ b: [chunk()] })];
    clock.step(3 * DAY_MS);
    await inner.putIfAbsent('wal/other', Buffer.from('x'));
    const others = [[{ name: 'wal/other', bytes: 1 }]];
    const forget = [first.id, second.id];
    const findHeld = async (ids: readonly string[]) => {
      assert.deepEqual([...ids].sort(), forget.toSorted());
      assert.deepEqual(await listForgottenIds(repository), new Set(forget), 'they are read after that is recorded');
      return new Set([second.id]);
    };
    const { result } = await prune({ forget, holds: { findHeld, areTheSame: async () => true }, others });
    assert.deepEqual([result.forgotten, result.isToBeRepeated], [[first.id], true]);
    assert.deepEqual(
      result.waiting.filter(({ reason }) => reason === 'held').map(({ name }) => name),
      [`snapshots/committed/${second.id}`],
    );
    await readWholeSnapshot(repository, second);
    const changed = { findHeld: async () => new Set<string>(), areTheSame: async () => false };
    const again = await prune({ holds: changed, others });
    assert.ok(again.result.waiting.some(({ name, reason }) => name === 'wal/other' && reason === 'held'));
    await prune({ others });
    assert.deepEqual(await names('wal/'), []);
  });

  it('keeps back what comes behind it in its unit, and nothing of another one', async (test) => {
    const { clock, inner, repository, names } = await makePrunePlace(test);
    const until = clock.now() + DAY_MS;
    const lock = { lockFor: () => DAY_MS, extend: async () => {}, until: async () => until };
    const locking = storeWith(inner, {
      lock,
      delete: async (name: string) => {
        if (name === 'wal/b1') throw new HoldfastError('OBJECT_LOCKED', `cannot delete object "${name}": it is locked`);
        await inner.delete(name);
      },
    });
    const unit = (...of: string[]) => of.map((name) => ({ name: `wal/${name}`, bytes: 1 }));
    const others = [unit('a1', 'a2'), unit('b0', 'b1', 'b2', 'b3'), unit('c1')];
    for (const { name } of others.flat()) await inner.putIfAbsent(name, Buffer.from('x'));
    const { result } = await pruneOnce(repository.inPlace(locking), { others });
    assert.deepEqual(await names('wal/'), ['wal/b1', 'wal/b2', 'wal/b3']);
    assert.deepEqual(
      result.waiting,
      unit('b1', 'b2', 'b3').map((object) => ({ ...object, reason: 'locked', until })),
    );
  });

  it('because a chunk of it is in announced packs alone goes once that was stored again', async (test) => {
    const { clock, repository, chunk, names, prune } = await makePrunePlace(test);
    const contents = { a: [chunk()] };
    // Two that do not know of each other store the same.
    const inside = async (moment: string) => void (moment === 'loaded' && (await backUpChunks(repository, contents)));
    const kept = await backUpChunks(repository, contents, { at: inside });
    clock.step(3 * DAY_MS);
    const ids = (await names('packs/')).map((name) => name.slice('packs/'.length));
    await writeTombstone(repository, { packs: ids });
    clock.step(3 * DAY_MS);
    const { result } = await prune({ budget: { repackBytes: 0 } });
    assert.deepEqual([result.deleted.packs, result.repacked.packs], [0, 0]);
    assert.deepEqual(result.waiting.map(({ reason }) => reason).sort(), ['budget', 'budget', 'live', 'live']);
    const next = await prune();
    assert.deepEqual([next.result.deleted.packs, next.result.repacked.packs], [0, 2]);
    assert.deepEqual(next.result.waiting.map(({ reason }) => reason).sort(), ['live', 'live', 'moved', 'moved']);
    await pruneForDays(clock, prune, 20);
    await readWholeSnapshot(repository, kept);
    await assertClean(repository);
  });

  it('because a chunk of it cannot be read is told so', async (test) => {
    const { clock, inner, chunk, names, prune, backUp, repository } = await makePrunePlace(test);
    const shared = chunk();
    const before = new Set(await names('packs/'));
    const old = await backUp({ a: [chunk(), chunk(), chunk(), shared] });
    const packs = (await names('packs/')).filter((name) => !before.has(name));
    await backUp({ b: [shared] });
    const sizes = await Promise.all(packs.map(async (name) => ({ name, size: (await inner.stat(name))!.size })));
    const { name } = sizes.reduce((a, b) => (b.size > a.size ? b : a));
    const bytes = await inner.get(name);
    await inner.delete(name);
    // In the last frame, before the directory.
    bytes[64 + 3 * 3016 + 500]! ^= 1;
    await inner.putIfAbsent(name, bytes);
    clock.step(3 * DAY_MS);
    const { result } = await prune({ forget: [old.id] });
    assert.deepEqual(
      result.waiting.filter((each) => each.name === name).map(({ reason }) => reason),
      ['damaged'],
    );
    assert.ok(!(await repository.loadIndex()).announced.has(name.slice('packs/'.length)), 'it keeps what it has');
  });

  it('as the budget is used up is left to the next run', async (test) => {
    const { clock, repository, chunk, prune, backUp } = await makePrunePlace(test);
    const shared = [chunk(), chunk()];
    const old = await backUp({
      a: [chunk(), chunk(), chunk(), shared[0]!],
      b: [chunk(), chunk(), chunk(), shared[1]!],
    });
    const kept = await backUp({ a: shared });
    clock.step(3 * DAY_MS);
    const { result } = await prune({ forget: [old.id], budget: { repackBytes: 4000 } });
    assert.equal(result.repacked.packs, 1);
    assert.equal(result.waiting.filter(({ reason }) => reason === 'budget').length, 1);
    clock.step(2 * DAY_MS);
    const out = await prune({ budget: { durationMs: 0 } });
    assert.equal(out.result.deleted.objects, 0);
    assert.ok(out.result.waiting.some(({ reason }) => reason === 'budget'));
    await pruneForDays(clock, prune, 20);
    await readWholeSnapshot(repository, kept);
    await assertClean(repository);
  });
});
