import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { backUpChunks, readWholeSnapshot } from '../../../test/support/chunk-backup.ts';
import { pruneOnce } from '../../../test/support/prune-once.ts';
import { assertClean, makePrunePlace, pruneForDays } from '../../../test/support/prune-place.ts';
import { StoreStopped, stopStoreAt } from '../../../test/support/stopping-store.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { recordDamage } from '../damage/index.ts';
import { listForgottenIds, listPendingIds, listSnapshots, type SnapshotRecord } from '../snapshot/index.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Nothing is too young, and nothing has to wait: what remains is the order. */
const AT_ONCE = { leftoverMs: 0, graceMs: 0, movedMs: 0 };

describe('a prune', () => {
  it('gives back what forgotten snapshots alone needed, in two phases, and leaves the others whole', async (test) => {
    const { clock, repository, chunk, names, prune, backUp } = await makePrunePlace(test);
    const shared = chunk();
    const old = await backUp({ a: [chunk(), chunk(), chunk(), shared], b: [chunk()] });
    const kept = await backUp({ b: [shared], c: [chunk()] });
    clock.step(3 * DAY_MS);
    const before = await names('packs/');
    const first = await prune({ forget: [old.id] });
    assert.deepEqual(first.result.forgotten, [old.id]);
    const now = new Set(await names('packs/'));
    assert.ok(
      before.every((name) => now.has(name)),
      'only announced',
    );
    assert.equal(first.result.repacked.packs, 1, 'the one of which a quarter is live');
    assert.deepEqual(await names('snapshots/pending/'), [`snapshots/pending/${kept.id}`]);
    assert.deepEqual(await names('snapshots/committed/'), [`snapshots/committed/${kept.id}`]);
    assert.deepEqual(await listForgottenIds(repository), new Set([old.id]));
    assert.deepEqual(await names('features/prune.'), ['features/prune.tombstones-1']);
    clock.step(HOUR_MS / 2);
    assert.equal((await prune()).result.deleted.packs, 0, 'the grace is not over');
    clock.step(HOUR_MS);
    const second = await prune();
    assert.equal(
      second.result.deleted.packs,
      2,
      'the data and the tree that nobody needs; readers may know the moved pack for a day',
    );
    assert.deepEqual(
      second.proposal.waiting.map(({ reason }) => reason),
      ['moved'],
    );
    await readWholeSnapshot(repository, kept);
    await pruneForDays(clock, prune, 18);
    await readWholeSnapshot(repository, kept);
    await assertClean(repository);
  });

  it('leaves alone what is young, and what somebody at work may have stored', async (test) => {
    const { clock, repository, chunk, prune } = await makePrunePlace(test);
    await assert.rejects(
      backUpChunks(repository, { a: [chunk()] }, { at: async (moment) => assert.notEqual(moment, 'stored') }),
    );
    clock.step(DAY_MS);
    assert.equal((await prune()).result.announced.packs, 0, 'the next backup may use it');
    const atWork = await backUpChunks(
      repository,
      { b: [chunk()] },
      {
        at: async (moment) => {
          if (moment !== 'stored') return;
          await clock.advance(MINUTE_MS);
          const { result } = await prune({ margins: AT_ONCE });
          assert.equal(result.announced.packs, 2, 'the leftovers, and nothing of the backup');
        },
      },
    );
    await readWholeSnapshot(repository, atWork);
  });

  it('refuses while another one is running, and when its place does not list its lease', async (test) => {
    const { inner, repository, prune, clock } = await makePrunePlace(test);
    await backUpChunks(repository, {}, { at: async () => {} });
    const others = { list: (prefix: string) => (prefix.startsWith('volatile') ? nothing() : inner.list(prefix)) };
    await assert.rejects(pruneOnce(repository.inPlace(storeWith(inner, others))), { code: 'STORE_LISTS_LATE' });
    let inside: Promise<unknown> = Promise.resolve();
    const keeps = async () => false;
    const slow = storeWith(inner, {
      putIfAbsent: async (name: string, parts: Uint8Array | readonly Uint8Array[]) => {
        if (name.startsWith('tombstones/')) inside = assert.rejects(prune(), { code: 'PRUNE_RUNNING' });
        await inside;
        return inner.putIfAbsent(name, parts);
      },
    });
    clock.step(3 * DAY_MS);
    const [snapshot] = (await listSnapshots(repository)).snapshots;
    await pruneOnce(repository.inPlace(slow), { forget: [snapshot!.id], keeps });
    await inside;
  });

  it('stops before anything is changed when a record, a tree, an index object or a chunk of a root is not there', async (test) => {
    for (const [what, harm] of [
      ['snapshots/committed/', 'replace'],
      ['index/', 'replace'],
      ['packs/', 'delete'],
      ['index/', 'delete'],
    ] as const) {
      const { clock, inner, repository, chunk, names, prune, backUp } = await makePrunePlace(test);
      const old = await backUp({ a: [chunk()] });
      const kept = await backUp({ b: [chunk()] });
      clock.step(3 * DAY_MS);
      for (const name of await names(what)) {
        if (name.endsWith(old.id)) continue;
        await inner.delete(name);
        if (harm === 'replace') await inner.putIfAbsent(name, Buffer.from('noise'));
      }
      if (what === 'snapshots/committed/') await inner.delete(`snapshots/pending/${kept.id}`);
      const before = await names('');
      await assert.rejects(prune({ forget: [old.id] }), { code: 'PRUNE_ROOT_UNREADABLE' }, `${harm} ${what}`);
      assert.deepEqual(
        (await names('')).filter((name) => !name.startsWith('volatile/')),
        before,
      );
      await repository.close();
    }
  });

  it('goes on where a chunk of a root is lost and that is recorded', async (test) => {
    const { clock, inner, repository, chunk, names, prune, backUp } = await makePrunePlace(test);
    const old = await backUp({ a: [chunk()] });
    const before = new Set(await names('packs/'));
    await backUp({ b: [chunk()] });
    clock.step(3 * DAY_MS);
    // The first pack of a backup is the one with data.
    const index = await repository.loadIndex();
    const lost = [...index.listPacks()].find(
      ({ packId, content }) => content === 'data' && !before.has(`packs/${packId.toString('hex')}`),
    )!;
    index.close();
    await inner.delete(`packs/${lost.packId.toString('hex')}`);
    await assert.rejects(prune({ forget: [old.id] }), { code: 'PRUNE_ROOT_UNREADABLE' });
    await recordDamage(repository, lost.packId, { foundBy: 'verify' });
    const { result, proposal } = await prune({ forget: [old.id] });
    assert.deepEqual(result.forgotten, [old.id]);
    assert.equal(proposal.madeFrom.lostChunks, 1);
  });
});

async function* nothing() {}

describe('a backup that stands still while a prune is at work', () => {
  /** A snapshot that is forgotten, and a backup of the same contents that stands still at one of its moments. */
  async function raceAt(
    test: TestContext,
    wanted: string,
    during: (world: Awaited<ReturnType<typeof makePrunePlace>>) => Promise<void>,
  ) {
    const world = await makePrunePlace(test);
    const { clock, repository, chunk, backUp } = world;
    const contents = { a: [chunk(), chunk()], b: [chunk()] };
    const old = await backUp(contents);
    await backUp({ other: [chunk()] });
    clock.step(3 * DAY_MS);
    let isFirst = true;
    const at = async (moment: string) => {
      if (moment !== wanted || !isFirst) return;
      isFirst = false;
      await world.prune({ forget: [old.id], margins: AT_ONCE });
      await during(world);
    };
    const racing = backUpChunks(repository, contents, { at, withoutLease: true });
    return { ...world, racing, contents };
  }

  it('stores again what was announced after it read the index, while that is there', async (test) => {
    const { racing, repository, clock, prune } = await raceAt(test, 'stored', async () => {});
    await readWholeSnapshot(repository, await racing);
    await pruneForDays(clock, prune, 20);
    await assertClean(repository);
  });

  it('aborts when it is gone by then', async (test) => {
    const { racing, repository, clock, prune } = await raceAt(test, 'stored', async ({ prune, names }) => {
      const before = (await names('packs/')).length;
      await prune({ margins: AT_ONCE });
      assert.ok((await names('packs/')).length < before, 'it was deleted');
    });
    await assert.rejects(racing, { code: 'BACKUP_OVERTAKEN_BY_PRUNE' });
    await pruneForDays(clock, prune, 22);
    await assertClean(repository);
    assert.deepEqual(
      await listPendingIds(repository),
      (await listSnapshots(repository)).snapshots.map(({ id }) => id),
    );
  });

  it('is seen by the prune once it has announced itself, however long it stands still then', async (test) => {
    for (const moment of ['announced', 'obeyed']) {
      const { racing, repository } = await raceAt(test, moment, async ({ clock, prune }) => {
        // Older than any lease, and not old enough to be taken for given up. What goes on elsewhere can be read for a while.
        clock.step(50 * MINUTE_MS);
        for (let round = 0; round < 4; round++) await prune({ margins: { ...AT_ONCE, movedMs: HOUR_MS } });
      });
      await readWholeSnapshot(repository, await racing);
    }
  });

  it('can never be listed once it was taken for given up', async (test) => {
    const { racing, repository, clock, prune } = await raceAt(test, 'obeyed', async ({ clock, prune, names }) => {
      clock.step(2 * HOUR_MS);
      const { result } = await prune();
      assert.equal(result.withdrawn.length, 1);
      await pruneForDays(clock, prune, 4);
      assert.equal((await names('snapshots/pending/')).length, 1);
    });
    await assert.rejects(racing, { code: 'BACKUP_WITHDRAWN' });
    assert.equal((await listSnapshots(repository)).snapshots.length, 1);
    await pruneForDays(clock, prune, 20);
    await assertClean(repository);
    clock.step(400 * DAY_MS);
    await prune();
    assert.equal((await listSnapshots(repository)).withdrawn.size, 0);
  });

  it('aborts when it slept for longer than tombstones are kept', async (test) => {
    const { racing, repository } = await raceAt(test, 'stored', async ({ clock, prune }) =>
      pruneForDays(clock, prune, 18),
    );
    await assert.rejects(racing, { code: 'BACKUP_TOO_LONG' });
    assert.equal((await listSnapshots(repository)).snapshots.length, 1);
  });

  it('announces what it named in the index too late, so that nobody counts on it', async (test) => {
    const world = await makePrunePlace(test);
    const { clock, inner, names, chunk, repository, prune, backUp } = world;
    const late = storeWith(inner, {
      putIfAbsent: async (name: string, parts: Uint8Array | readonly Uint8Array[]) => {
        if (name.startsWith('index/')) await pruneForDays(clock, prune, 20);
        return inner.putIfAbsent(name, parts);
      },
    });
    const contents = { a: [chunk()] };
    await assert.rejects(backUpChunks(repository.inPlace(late), contents), { code: 'BACKUP_TOO_LONG' });
    assert.equal((await names('tombstones/')).length, 1);
    const next = await backUp(contents);
    await pruneForDays(clock, prune, 3);
    await readWholeSnapshot(repository, next);
    await pruneForDays(clock, prune, 20);
    await assertClean(repository);
  });

  it('is waited for as long as its lease lives', async (test) => {
    const { clock, repository, chunk, prune, backUp } = await makePrunePlace(test);
    const contents = { a: [chunk()] };
    const old = await backUp(contents);
    await backUp({ b: [chunk()] });
    clock.step(3 * DAY_MS);
    const at = async (moment: string) => {
      if (moment !== 'loaded') return;
      clock.step(3 * MINUTE_MS);
      await prune({ forget: [old.id], margins: AT_ONCE });
      const { result } = await prune({ margins: AT_ONCE });
      assert.equal(result.deleted.packs, 0);
      assert.ok(result.waiting.some(({ reason }) => reason === 'lease'));
    };
    await readWholeSnapshot(repository, await backUpChunks(repository, contents, { at }));
  });

  it('may stand on a snapshot whose chunks are announced, which is not forgotten before they are elsewhere', async (test) => {
    const { clock, inner, repository, chunk, prune, backUp } = await makePrunePlace(test);
    const contents = { a: [chunk(), chunk()] };
    const old = await backUp(contents);
    await backUp({ other: [chunk()] });
    clock.step(3 * DAY_MS);
    // A base that comes to be between the moment at which a prune looks and the one at which it announces.
    let base: SnapshotRecord | null = null;
    const overtaken = storeWith(inner, {
      putIfAbsent: async (name: string, parts: Uint8Array | readonly Uint8Array[]) => {
        if (name.startsWith('tombstones/') && base === null) base = await backUp(contents, { withoutLease: true });
        return inner.putIfAbsent(name, parts);
      },
    });
    await pruneOnce(repository.inPlace(overtaken), { forget: [old.id], margins: AT_ONCE });
    const forget = [base!.id];
    const margins = { ...AT_ONCE, movedMs: HOUR_MS };
    const standOnBase = async () => ({
      base: contents.a.map((raw) => ({ id: repository.keys.identifyChunk(raw), length: raw.length })),
    });
    const at = async (moment: string) => {
      if (moment !== 'stored') return;
      const { result, proposal } = await prune({ forget, margins });
      assert.deepEqual([proposal.madeFrom.deferred, result.forgotten], [forget, []]);
    };
    const second = await backUpChunks(repository, standOnBase, { at, withoutLease: true });
    assert.deepEqual((await prune({ forget, margins })).result.forgotten, forget, 'its chunks are elsewhere by now');
    await pruneForDays(clock, prune, 20);
    await readWholeSnapshot(repository, second);
    await assertClean(repository);
  });
});

describe('a prune that is killed', () => {
  /** Something of everything: to be forgotten, repacked, announced, deleted, withdrawn and cleared up. */
  async function fill(test: TestContext) {
    const world = await makePrunePlace(test);
    const { clock, repository, chunk, prune, backUp } = world;
    const shared = chunk();
    const gone = await backUp({ a: [chunk()], b: [chunk()] });
    const old = await backUp({ a: [chunk(), chunk(), chunk(), shared], c: [chunk()] });
    const kept = await backUp({ b: [shared], d: [chunk()] });
    clock.step(3 * DAY_MS);
    await prune({ forget: [gone.id] });
    const stop = async (moment: string) => assert.notEqual(moment, 'obeyed');
    await assert.rejects(backUpChunks(repository, { e: [chunk()] }, { at: stop }));
    clock.step(3 * DAY_MS);
    return { ...world, old, kept };
  }

  it('before or after any change leaves a repository that is whole, and the next prune finishes', async (test) => {
    const counted = await fill(test);
    const all = stopStoreAt(counted.inner, Number.POSITIVE_INFINITY, 'before');
    await pruneOnce(counted.repository.inPlace(all.store), { forget: [counted.old.id] });
    const kinds = new Set(all.changes.map((change) => change.split('/')[0]!));
    for (const kind of [
      'putIfAbsent snapshots',
      'putIfAbsent tombstones',
      'putIfAbsent index',
      'putFileIfAbsent packs',
      'delete packs',
      'delete index',
      'delete snapshots',
    ])
      assert.ok(kinds.has(kind), `it changes something by "${kind}"`);
    for (const when of ['before', 'after'] as const) {
      for (let change = 1; change <= all.changes.length; change++) {
        const { clock, inner, repository, prune, old, kept } = await fill(test);
        const { store } = stopStoreAt(inner, change, when);
        // A lease that cannot be given up ends by itself.
        await pruneOnce(repository.inPlace(store), { forget: [old.id] }).catch((error: unknown) =>
          assert.ok(error instanceof StoreStopped, `${when} change ${change}: ${String(error)}`),
        );
        const { snapshots, damaged } = await listSnapshots(repository);
        assert.deepEqual(damaged, [], `${when} change ${change}`);
        assert.ok(snapshots.some(({ id }) => id === kept.id));
        for (const snapshot of snapshots) await readWholeSnapshot(repository, snapshot);
        await pruneForDays(clock, () => prune({ forget: [old.id] }), 20);
        await readWholeSnapshot(repository, kept);
        await assertClean(repository);
        assert.deepEqual(await listPendingIds(repository), [kept.id], `${when} change ${change}`);
        await repository.close();
      }
    }
  });
});

describe('storing live chunks again', () => {
  it('ends with the time of the run, and comes after what is to be deleted', async (test) => {
    const { clock, inner, repository, chunk, prune, backUp } = await makePrunePlace(test);
    const gone = await backUp({ a: [chunk()] });
    const shared = [chunk(), chunk()];
    const old = await backUp({
      a: [chunk(), chunk(), chunk(), shared[0]!],
      b: [chunk(), chunk(), chunk(), shared[1]!],
    });
    const kept = await backUp({ a: shared });
    clock.step(3 * DAY_MS);
    await prune({ forget: [gone.id] });
    clock.step(DAY_MS);
    let isRepacking = false;
    const slow = storeWith(inner, {
      putIfAbsent: async (name: string, parts: Uint8Array | readonly Uint8Array[]) => {
        if (name.startsWith('snapshots/forgotten/')) isRepacking = true;
        return inner.putIfAbsent(name, parts);
      },
      getRange: async (name: string, offset: number, length: number) => {
        if (isRepacking && name.startsWith('packs/')) await clock.advance(MINUTE_MS);
        return inner.getRange(name, offset, length);
      },
    });
    const { result } = await pruneOnce(repository.inPlace(slow), {
      forget: [old.id],
      budget: { durationMs: MINUTE_MS },
    });
    assert.equal(result.deleted.packs, 2, 'what was announced before');
    assert.deepEqual([result.repacked.packs, result.repacked.storedBytes > 0], [1, true]);
    assert.equal(result.waiting.filter(({ reason }) => reason === 'budget').length, 1);
    await pruneForDays(clock, prune, 20);
    await readWholeSnapshot(repository, kept);
    await assertClean(repository);
  });

  it('counts on no pack that the same run announces', async (test) => {
    const { clock, repository, chunk, prune, backUp } = await makePrunePlace(test);
    const [shared, ...dead] = Array.from({ length: 5 }, chunk);
    // Two that do not know of each other store the same chunk, the other one more beside it.
    const inner: SnapshotRecord[] = [];
    const inside = async (moment: string) => {
      if (moment === 'loaded') inner.push(await backUpChunks(repository, { a: [shared!, dead[0]!] }));
    };
    const outer = await backUpChunks(repository, { a: [dead[1]!, dead[2]!, dead[3]!, shared!] }, { at: inside });
    const kept = await backUp({ b: [shared!] });
    clock.step(3 * DAY_MS);
    const { result, proposal } = await prune({ forget: [inner[0]!.id, outer.id] });
    assert.deepEqual([proposal.repack.length, result.announced.packs], [1, 4]);
    assert.ok(result.repacked.storedBytes > 0, 'the chunk is in a new pack');
    const index = await repository.loadIndex();
    const homes = index.lookup(repository.keys.identifyChunk(shared!)).map(({ packId }) => packId.toString('hex'));
    assert.equal(homes.filter((id) => !index.announced.has(id)).length, 1);
    index.close();
    await pruneForDays(clock, prune, 20);
    await readWholeSnapshot(repository, kept);
    await assertClean(repository);
  });
});

describe('a reader of the index', () => {
  it('reads what took the place of an object that went since it was listed', async (test) => {
    const { clock, inner, repository, chunk, prune, backUp } = await makePrunePlace(test);
    const old = await backUp({ a: [chunk()], b: [chunk()] });
    const shared = chunk();
    const kept = await backUp({ c: [shared] });
    const both = await backUp({ c: [shared], d: [chunk()] });
    clock.step(3 * DAY_MS);
    await prune({ forget: [old.id, kept.id] });
    clock.step(2 * DAY_MS);
    let isFirst = true;
    const late = storeWith(inner, {
      get: async (name: string) => {
        if (name.startsWith('index/') && isFirst) {
          isFirst = false;
          await prune();
        }
        return inner.get(name);
      },
    });
    await readWholeSnapshot(repository.inPlace(late), both);
    assert.equal(isFirst, false);
  });
});
