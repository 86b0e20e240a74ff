import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository, scratchFor } from '../../../test/support/memory-repository.ts';
import { cuttablePlace, namesIn, objectsOf } from '../../../test/support/several-places.ts';
import { until } from '../../../test/support/until.ts';
import { type Clock, HoldfastError, systemClock } from '../../lib/index.ts';
import { memoryStore, type ObjectEntry, openDiskStore } from '../object-store/index.ts';
import { openCopiedStore } from './copied-store.ts';
import type { SpoolEvent, SpoolJudge } from './hand-over.ts';
import { SpooledStore } from './spooled-store.ts';
import { listSpooled } from './waiting-store.ts';

const lineage = `wal/7123/${'ab'.repeat(32)}`;
const fragment = (n: number) => `${lineage}/fragments/00000001.${n}`;
const segment = `${lineage}/segments/000000010000000000000001`;

/** What is sealed differs though it may hold the same; nothing is contradicted. */
const judge: SpoolJudge = { isSame: async () => false, findContradictions: async () => [] };

async function setUp(test: TestContext, options: { budgetBytes?: number; clock?: Clock } = {}) {
  const primary = cuttablePlace('primary');
  await createRepository(test, { store: primary.inner });
  await primary.inner.putIfAbsent(`${lineage}/lineage`, randomBytes(100));
  const directory = join(await scratchFor(test, 'spool'), 'outage');
  const events: SpoolEvent[] = [];
  const open = () => {
    const store = new SpooledStore({
      ...{ primary: primary.store, directory, clock: options.clock ?? systemClock },
      budgetBytes: options.budgetBytes ?? 1 << 30,
    });
    store.listen((event) => events.push(event));
    store.judgeBy(judge);
    test.after(() => store.close());
    return store;
  };
  const store = open();
  // As whoever opens the repository does.
  await store.get('format');
  return { primary, directory, events, open, store };
}

describe('a spool for outages', () => {
  it('keeps WAL here while the primary is away, reads it as if it were there, and hands it over', async (test) => {
    const { primary, events, store, directory } = await setUp(test);
    assert.equal(await store.putIfAbsent(fragment(1), Buffer.from('one')), 'created');
    primary.isCut = true;
    assert.equal(await store.putIfAbsent(fragment(2), Buffer.from('two')), 'created');
    assert.equal(await store.putIfAbsent(fragment(2), Buffer.from('two')), 'exists');
    const path = join(await store.spoolDirectory(), 'file');
    await writeFile(path, 'whole');
    assert.equal(await store.putFileIfAbsent(segment, path), 'created');
    assert.equal(existsSync(path), false);
    assert.equal((await store.get(segment)).toString(), 'whole');
    assert.equal((await store.stat(fragment(2)))?.size, 3);
    assert.deepEqual(store.onlyHere, [fragment(2), segment]);
    assert.deepEqual([store.isAnyOnlyHere([fragment(1)]), store.isAnyOnlyHere([fragment(1), segment])], [false, true]);
    const state = await store.state();
    assert.deepEqual([state.objects, state.bytes, state.error?.code], [2, 8, 'STORE_UNAVAILABLE']);
    assert.ok(state.awaySince !== null && state.freeBytes !== null);
    await assert.rejects(store.get(fragment(1)), { code: 'STORE_UNAVAILABLE' });
    primary.isCut = false;
    await until('nothing to be here alone', () => store.onlyHere.length === 0);
    assert.equal((await primary.inner.get(segment)).toString(), 'whole');
    const [id] = await readdir(directory);
    assert.deepEqual(await namesIn(openDiskStore(join(directory, id!))), []);
    assert.equal((await store.get(segment)).toString(), 'whole');
    assert.deepEqual(
      events.map(({ kind }) => kind).filter((kind) => kind !== 'moved'),
      ['outage-began', 'outage-ended'],
    );
    await store.putIfAbsent(fragment(3), Buffer.from('three'));
    assert.equal((await primary.inner.get(fragment(3))).toString(), 'three');
  });

  it('survives the process: what it held is handed over by the next one', async (test) => {
    const { primary, store, open, directory } = await setUp(test);
    primary.isCut = true;
    await store.putIfAbsent(fragment(1), Buffer.from('one'));
    await store.close();
    const [id] = await readdir(directory);
    assert.deepEqual(await listSpooled(directory, id!), [fragment(1)]);
    await assert.rejects(open().get('format'), { code: 'STORE_UNAVAILABLE' });
    primary.isCut = false;
    assert.equal((await open().get(fragment(1))).toString(), 'one');
    await until('the object in the primary', async () => (await primary.inner.stat(fragment(1))) !== null);
    await until('an empty spool', async () => (await listSpooled(directory, id!)).length === 0);
    assert.deepEqual(await listSpooled(directory, 'another'), []);
  });

  it('hands nothing over to another repository that came in the place of the primary', async (test) => {
    const { primary, store } = await setUp(test);
    const other = memoryStore();
    await createRepository(test, { store: other });
    primary.isCut = true;
    await store.putIfAbsent(fragment(1), Buffer.from('one'));
    for (const call of ['get', 'getRange', 'stat', 'putIfAbsent', 'list'] as const)
      Object.assign(primary.inner, { [call]: other[call].bind(other) });
    const before = primary.calls.length;
    primary.isCut = false;
    // It asks again after a pause, so that it has been asked twice when it was judged once.
    await until(
      'the primary to be asked again',
      () => primary.calls.slice(before).filter((call) => call.endsWith(' format')).length > 1,
    );
    assert.deepEqual(await namesIn(other, 'wal/'), []);
    assert.deepEqual(store.onlyHere, [fragment(1)]);
    assert.notEqual((await store.state()).awaySince, null);
  });

  it('keeps what the primary shows, but never said to be durable, for a process that did not see that', async (test) => {
    const { primary, events, open, store } = await setUp(test);
    primary.isCut = true;
    await store.putIfAbsent(fragment(1), Buffer.from('one'));
    await store.putIfAbsent(segment, randomBytes(5 << 20));
    // As an earlier try left it whose directory could not be synced.
    for (const name of [fragment(1), segment]) await primary.inner.putIfAbsent(name, await store.get(name));
    const { putIfAbsent, putFileIfAbsent } = primary.inner;
    const refuse = async () => {
      throw new HoldfastError('STORE_SYNC_FAILED', 'cannot write: an earlier write could not be made durable');
    };
    Object.assign(primary.inner, { putIfAbsent: refuse, putFileIfAbsent: refuse });
    primary.isCut = false;
    await until('the failure to be told', () => events.some(({ kind }) => kind === 'failed'));
    assert.deepEqual(store.onlyHere, [fragment(1), segment]);
    // Whoever saw it asks no more (rule C1); another process does.
    Object.assign(primary.inner, { putIfAbsent, putFileIfAbsent });
    assert.equal(await store.drain(0), 2);
    const next = open();
    assert.equal(await next.drain(10_000), 0);
    assert.equal((await primary.inner.get(fragment(1))).toString(), 'one');
  });

  it('hands nothing over before it is judged, and nothing of a history that the primary contradicts', async (test) => {
    const { primary, events, directory, store } = await setUp(test);
    primary.isCut = true;
    const other = `wal/7123/${'cd'.repeat(32)}/fragments/00000001.1`;
    for (const name of [fragment(1), segment, other]) await store.putIfAbsent(name, Buffer.from('mine'));
    await store.close();
    primary.isCut = false;
    const options = { primary: primary.store, directory, clock: systemClock, budgetBytes: 1 << 30 };
    const next = new SpooledStore(options);
    next.listen((event) => events.push(event));
    test.after(() => next.close());
    await next.get('format');
    await systemClock.sleep(100);
    assert.deepEqual(await namesIn(primary.inner, other), []);
    const asked: string[][] = [];
    const findContradictions = async (names: readonly string[]) => {
      asked.push([...names]);
      return [{ prefix: `${lineage}/`, name: segment }];
    };
    next.judgeBy({ ...judge, findContradictions });
    await until(
      'the object in the primary',
      async () => (await primary.inner.stat(other)) !== null && !next.onlyHere.includes(other),
    );
    assert.deepEqual(asked, [[fragment(1), segment, other]]);
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'conflict'),
      [{ kind: 'conflict', name: segment }],
    );
    // Whoever brought it has to compare anew: until then nothing more of it is taken, here or there.
    await assert.rejects(next.putIfAbsent(fragment(2), Buffer.from('more')), {
      code: 'STORE_SPOOL_FENCED',
      retryable: false,
    });
    assert.equal(await next.ready(), true);
    assert.deepEqual(await namesIn(next, `${lineage}/`), [`${lineage}/lineage`]);
    assert.deepEqual([next.onlyHere, (await next.state()).objects], [[], 2]);
    await next.putIfAbsent(fragment(2), Buffer.from('compared'));
    assert.equal((await primary.inner.get(fragment(2))).toString(), 'compared');
    assert.deepEqual(await namesIn(primary.inner, fragment(1)), []);
  });

  it('says of a primary that is away by a strange error that it may be asked again', async (test) => {
    const { primary, store } = await setUp(test);
    await store.putIfAbsent(fragment(1), Buffer.from('one'));
    const { putIfAbsent } = primary.inner;
    Object.assign(primary.inner, {
      putIfAbsent: async () => {
        throw new HoldfastError('STORE_FAILED', 'could not write: the disk went in the middle');
      },
    });
    await store.putIfAbsent(fragment(2), Buffer.from('two'));
    await until('the reason to be told', async () => (await store.state()).error?.code === 'STORE_FAILED');
    await assert.rejects(store.stat(fragment(1)), { code: 'STORE_UNAVAILABLE', retryable: true });
    Object.assign(primary.inner, { putIfAbsent });
  });

  it('is judged again when the primary was away again', async (test) => {
    const { primary, store } = await setUp(test);
    let judged = 0;
    const findContradictions = async () => {
      judged += 1;
      return [];
    };
    store.judgeBy({ ...judge, findContradictions });
    for (const n of [1, 2]) {
      primary.isCut = true;
      await store.putIfAbsent(fragment(n), Buffer.from('mine'));
      primary.isCut = false;
      await until('nothing to be here alone', () => store.onlyHere.length === 0);
      assert.equal(judged, n);
    }
  });

  it('is judged once more when the primary went away and came back while it was judged', async (test) => {
    const { primary, directory, store } = await setUp(test);
    primary.isCut = true;
    await store.putIfAbsent(fragment(1), Buffer.from('mine'));
    await store.close();
    primary.isCut = false;
    const options = { primary: primary.store, directory, clock: systemClock, budgetBytes: 1 << 30 };
    const next = new SpooledStore(options);
    test.after(() => next.close());
    await next.get('format');
    let judged = 0;
    const findContradictions = async () => {
      judged += 1;
      if (judged === 1) {
        primary.isCut = true;
        assert.equal(await next.ready(), false);
        primary.isCut = false;
      }
      return [];
    };
    next.judgeBy({ ...judge, findContradictions });
    await until('nothing to be here alone', () => next.onlyHere.length === 0);
    assert.equal(judged, 2);
  });

  it('hands the rest over where one object is damaged in the primary', async (test) => {
    const { primary, events, store } = await setUp(test);
    const isSame = async (name: string) => {
      throw new HoldfastError('OBJECT_DAMAGED', `object "${name}" is damaged`);
    };
    store.judgeBy({ ...judge, isSame });
    primary.isCut = true;
    for (const n of [1, 2]) await store.putIfAbsent(fragment(n), Buffer.from('mine'));
    await store.putIfAbsent(`${lineage}/landmarks/000000010000000000000001`, Buffer.from('index'));
    await primary.inner.putIfAbsent(fragment(1), Buffer.from('rot'));
    primary.isCut = false;
    await until('one object to be here alone', () => store.onlyHere.length === 1);
    assert.deepEqual(store.onlyHere, [fragment(1)]);
    assert.equal((await store.state()).awaySince, null);
    assert.ok(events.some(({ kind }) => kind === 'conflict'));
  });

  it('lists what is handed over in the middle of the listing', async (test) => {
    const { primary, store } = await setUp(test);
    for (const n of [1, 9]) await store.putIfAbsent(fragment(n), Buffer.from('there'));
    primary.isCut = true;
    // More than a disk looks at in one go.
    const waiting = Array.from({ length: 40 }, (_, n) => 200 + n);
    for (const n of waiting) await store.putIfAbsent(fragment(n), Buffer.from('here'));
    // The primary lists what it had when it was asked.
    const before: ObjectEntry[] = [];
    for await (const entry of primary.inner.list(`${lineage}/fragments/`)) before.push(entry);
    const handedOver = Promise.withResolvers<void>();
    const list = async function* () {
      yield* before.slice(0, 1);
      await handedOver.promise;
      yield* before.slice(1);
    };
    Object.assign(primary.inner, { list });
    primary.isCut = false;
    const listing = store.list(`${lineage}/fragments/`)[Symbol.asyncIterator]();
    const first = listing.next();
    await until('nothing to be here alone', () => store.onlyHere.length === 0);
    handedOver.resolve();
    const names = [];
    for (let next = await first; !next.done; next = await listing.next()) names.push(next.value.name);
    assert.deepEqual(names, [1, ...waiting, 9].map(fragment));
  });

  it('goes on where another process of this machine has handed over what waited', async (test) => {
    const { primary, store, directory } = await setUp(test);
    primary.isCut = true;
    await store.putIfAbsent(segment, Buffer.from('whole'));
    await store.putIfAbsent(fragment(1), Buffer.from('one'));
    const other = new SpooledStore({
      ...{ primary: primary.inner, directory, clock: systemClock, budgetBytes: 1 << 30 },
    });
    other.judgeBy(judge);
    test.after(() => other.close());
    await other.get('format');
    await until('an empty spool', async () => (await other.state()).objects === 0);
    primary.isCut = false;
    await until('an empty spool', async () => (await store.state()).objects === 0);
    assert.equal((await store.state()).bytes, 0);
    assert.equal((await store.get(segment)).toString(), 'whole');
  });

  it('counts as kept here what another process of this machine has put there first', async (test) => {
    const { primary, store, open } = await setUp(test);
    const other = open();
    await other.get('format');
    primary.isCut = true;
    assert.equal(await other.putIfAbsent(fragment(1), Buffer.from('one')), 'created');
    assert.equal(await store.putIfAbsent(fragment(1), Buffer.from('one')), 'exists');
    assert.deepEqual(store.onlyHere, [fragment(1)]);
    assert.equal((await store.get(fragment(1))).toString(), 'one');
  });

  it('deletes nothing in the primary while something waits here', async (test) => {
    const { primary, store } = await setUp(test);
    await store.putIfAbsent(fragment(1), Buffer.from('one'));
    primary.isCut = true;
    await store.putIfAbsent(segment, Buffer.from('whole'));
    await store.putIfAbsent(fragment(2), Buffer.from('two'));
    primary.isCut = false;
    await store.delete(fragment(1));
    await store.delete(fragment(2));
    assert.deepEqual(store.onlyHere, [segment]);
    assert.equal((await primary.inner.get(fragment(1))).toString(), 'one');
  });

  it('takes nothing but WAL, and no first object of a lineage', async (test) => {
    const { primary, store } = await setUp(test);
    primary.isCut = true;
    for (const name of ['packs/a', 'snapshots/committed/a', `wal/1/${'cd'.repeat(32)}/lineage`])
      await assert.rejects(store.putIfAbsent(name, Buffer.from('x')), { code: 'STORE_UNAVAILABLE' });
    await assert.rejects(namesIn(store, 'wal/'), { code: 'STORE_UNAVAILABLE' });
  });

  it('says that it is full before the disk is, and takes no more', async (test) => {
    const clock = new ManualClock();
    const { primary, store } = await setUp(test, { budgetBytes: 1000, clock });
    primary.isCut = true;
    await store.putIfAbsent(fragment(1), randomBytes(600));
    await assert.rejects(store.putIfAbsent(fragment(2), randomBytes(600)), { code: 'STORE_SPOOL_FULL' });
    assert.deepEqual([(await store.state()).growthPerSecond, (await store.state()).fullInSeconds], [null, null]);
    await clock.advance(10_000);
    await store.putIfAbsent(fragment(3), randomBytes(300));
    const { growthPerSecond, fullInSeconds } = await store.state();
    assert.deepEqual([growthPerSecond, fullInSeconds], [30, 100 / 30]);
    await clock.advance(60_001);
    assert.deepEqual((await store.state()).growthPerSecond, null);
  });

  it('keeps its own when the primary has something else under the name, unless that holds the same', async (test) => {
    const { primary, events, store } = await setUp(test);
    store.judgeBy({ ...judge, isSame: async (name) => name === fragment(1) });
    primary.isCut = true;
    for (const n of [1, 2]) await store.putIfAbsent(fragment(n), Buffer.from('mine'));
    for (const n of [1, 2]) await primary.inner.putIfAbsent(fragment(n), Buffer.from('theirs'));
    primary.isCut = false;
    await until('the conflict to be told', () => events.some(({ kind }) => kind === 'conflict'));
    await until('one object to be here alone', () => store.onlyHere.length === 1);
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'conflict'),
      [{ kind: 'conflict', name: fragment(2) }],
    );
    assert.equal((await primary.inner.get(fragment(2))).toString(), 'theirs');
  });

  it('feeds the copies meanwhile, and counts as safe what a required one has', async (test) => {
    const { primary, store } = await setUp(test);
    const copy = cuttablePlace('elsewhere', { required: true });
    const copied = openCopiedStore({ primary: store, copies: [copy], clock: systemClock, access: 'write' });
    test.after(() => copied.close());
    await copied.putIfAbsent(fragment(1), Buffer.from('one'));
    await copied.settled();
    primary.isCut = true;
    await copied.putIfAbsent(fragment(2), Buffer.from('two'));
    await until('nothing to be here alone', () => store.onlyHere.length === 0);
    assert.equal((await copy.inner.get(fragment(2))).toString(), 'two');
    assert.equal((await store.state()).objects, 1);
    primary.isCut = false;
    await until('an empty spool', async () => (await store.state()).objects === 0);
    await copied.settled();
    assert.deepEqual(await objectsOf(copy.inner), await objectsOf(primary.inner));
  });
});
