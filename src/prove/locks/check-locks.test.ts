import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { namesIn } from '../../../test/support/listing.ts';
import { lockingStore } from '../../../test/support/locking-store.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { storeSmallLineage, storeSmallSnapshot } from '../../../test/support/small-snapshot.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { HoldfastError, type Progress, silentProgress } from '../../lib/index.ts';
import { encodeLocks, keepLocks, proveLocks } from '../../protect/locks/index.ts';
import { segmentObjectName } from '../../protect/wal/index.ts';
import { attest, lockRule, memoryStore, writePending, writeTombstone } from '../../repository/index.ts';
import { checkLocks } from './check-locks.ts';

const day = 86_400_000;
const progress = silentProgress;

/** A repository with one committed snapshot in a place that locks for ten days. */
async function makeWorld(test: TestContext) {
  const clock = new ManualClock();
  const store = lockingStore(memoryStore({ clock }), lockRule(10 * day));
  const { repository, scratch } = await createRepository(test, { store, clock });
  const { lineage, fragment } = await storeSmallLineage(repository);
  const contents = { 'data/a': randomBytes(5_000), 'data/b': randomBytes(7_000) };
  const { snapshot, dataPack, treePack } = await storeSmallSnapshot(repository, contents, lineage);
  await writePending(repository, snapshot);
  const packs = [dataPack, treePack].map((name) => Buffer.from(name.slice('packs/'.length), 'hex'));
  const keep = async () => {
    const locks = await keepLocks({ repository, snapshot, packs, stateDirectory: scratch, progress });
    await attest(repository, { snapshot: snapshot.id, level: 'stored', facts: { locks: encodeLocks(locks) } });
    return locks;
  };
  const check = async () => (await checkLocks({ repository, snapshots: [snapshot], progress }))[0]!.places;
  return { clock, store, repository, snapshot, fragment, dataPack, treePack, scratch, keep, check };
}

/** A copy of all that the primary has, which locks, too. */
async function addCopy(
  { clock, store }: Pick<Awaited<ReturnType<typeof makeWorld>>, 'clock' | 'store'>,
  { required, without }: { required: boolean; without?: string },
) {
  const copy = lockingStore(memoryStore({ clock }), lockRule(10 * day));
  for await (const { name } of store.list(''))
    if (name !== without) await copy.putIfAbsent(name, await store.get(name));
  const places = [
    { name: 'primary', store, required: true },
    { name: 'far', store: copy, required },
  ];
  Object.assign(store, { places });
  return copy;
}

/** Progress that writes down what it is told. */
function noting(): { notes: string[]; progress: Progress } {
  const notes: string[] = [];
  return { notes, progress: { ...silentProgress, note: (text) => void notes.push(text) } };
}

describe('locks of a snapshot', () => {
  it('cover all that it counts on, its fragments of WAL among them, for as long as the place locks', async (test) => {
    const { clock, store, fragment, keep, check } = await makeWorld(test);
    assert.equal(await store.lock.until(fragment), clock.now() + 4 * day);
    const now = clock.now();
    assert.deepEqual(await keep(), [{ place: 'primary', until: now + 40 * day }]);
    assert.deepEqual(store.extended, [fragment]);
    const [place] = await check();
    assert.deepEqual([place?.until, place?.attested, place?.unlockedCount], [now + 40 * day, now + 40 * day, 0]);
    // format, key, two index objects, two packs, fragment, lineage, committed record, and whatever else opens it.
    assert.ok(place!.objects >= 9, `${place!.objects} objects`);
  });

  it('are extended by the next backup that counts on the same packs, once in thirty days', async (test) => {
    const { clock, store, dataPack, scratch, repository, keep } = await makeWorld(test);
    await keep();
    store.asked.length = 0;
    store.extended.length = 0;
    await clock.advance(29 * day);
    await keep();
    assert.deepEqual([store.asked, store.extended], [[], []], 'what this host knows needs no request');
    const [name = ''] = await readdir(join(scratch, 'locks'));
    assert.ok(name.startsWith(`${repository.id}.primary.`));
    const file = await readFile(join(scratch, 'locks', name), 'utf8');
    assert.ok(file.includes(dataPack));
    await clock.advance(2 * day);
    const [lock] = await keep();
    assert.ok(store.extended.includes(dataPack) && store.extended.includes('format'));
    assert.equal(lock?.until, clock.now() + 40 * day);
  });

  it('that somebody took away are found by asking the place, and named', async (test) => {
    const { clock, store, dataPack, keep, check } = await makeWorld(test);
    const [lock] = await keep();
    store.cut(dataPack, clock.now() + 2 * day);
    const [shortened] = await check();
    assert.deepEqual([shortened?.until, shortened?.isShortened], [clock.now() + 2 * day, true]);
    store.cut(dataPack, null);
    const [removed] = await check();
    assert.deepEqual([removed?.until, removed?.isShortened, removed?.unlocked], [null, true, [dataPack]]);
    assert.equal(removed?.attested, lock?.until);
    await store.delete(dataPack);
    const [gone] = await check();
    assert.deepEqual([gone?.until, gone?.absentCount, gone?.unlocked], [null, 1, [dataPack]]);
    assert.deepEqual([gone?.isShortened, gone?.isGone], [false, true], 'what is not there has no lock to shorten');
  });

  it('that ran out in their time are no fault', async (test) => {
    const { clock, keep, check } = await makeWorld(test);
    await keep();
    await clock.advance(41 * day);
    const [place] = await check();
    assert.deepEqual([place?.until, place?.isShortened], [null, false]);
    assert.equal(place?.unlockedCount, place?.objects);
  });

  it('do not count what a stranger put among the index objects', async (test) => {
    const { store, keep, check } = await makeWorld(test);
    await keep();
    const poison = `index/${'ab'.repeat(32)}`;
    await store.putIfAbsent(poison, randomBytes(500));
    store.cut(poison, null);
    const [place] = await check();
    assert.deepEqual([place?.unlockedCount, place?.isShortened], [0, false]);
  });

  it('of all index objects are kept, and checked, where the record of those that were replaced cannot be read', async (test) => {
    const { clock, store, repository, snapshot, scratch } = await makeWorld(test);
    const copy = await addCopy({ clock, store }, { required: false });
    const [index] = await namesIn(copy, 'index/');
    const tombstone = await writeTombstone(repository.inPlace(copy), { packs: [], index: [index!] });
    await clock.advance(41 * day);
    const keepAndCheck = async () => {
      const { notes, progress } = noting();
      const options = { repository, snapshot, packs: [], stateDirectory: scratch, progress };
      const locks = (await keepLocks(options)).map(({ place }) => place);
      copy.asked.length = 0;
      const checked = await checkLocks({ repository, snapshots: [snapshot], progress });
      return { notes, locks, until: await copy.lock.until(index!), objects: checked[0]!.places[1]!.objects };
    };
    const spared = await keepAndCheck();
    assert.deepEqual([spared.notes, spared.locks], [[], ['primary', 'far']]);
    assert.ok(spared.until! < clock.now());
    await copy.delete(tombstone);
    await copy.putIfAbsent(tombstone, randomBytes(200));
    // This host remembers the others, not the one that nobody asked for.
    const told = await keepAndCheck();
    assert.deepEqual(told.locks, ['primary', 'far']);
    assert.equal(told.until, clock.now() + 40 * day);
    assert.equal(told.objects, spared.objects + 1);
    assert.equal(told.notes.length, 2, 'by who extends, and by who checks');
    for (const note of told.notes)
      assert.match(note, new RegExp(`^every index object of copy "far" is to be locked, .*"${tombstone}"`));
  });

  it('that a place cannot keep stop a backup before anything is written', async (test) => {
    for (const [behaviour, code] of [
      ['has-none', 'STORE_LOCK_ABSENT'],
      ['denies', 'STORE_DENIED'],
      ['forgets', 'LOCK_REFUSED'],
    ] as const) {
      const { store, repository } = await makeWorld(test);
      store.cut('format', null);
      store.behaviour = behaviour;
      await assert.rejects(proveLocks(repository, progress), { code });
    }
  });

  it('of older backups in a copy are extended although it lacks what is new', async (test) => {
    const { clock, store, repository, snapshot, scratch, dataPack, fragment } = await makeWorld(test);
    const copy = await addCopy({ clock, store }, { required: false, without: fragment });
    await clock.advance(31 * day);
    const packs = [Buffer.from(dataPack.slice('packs/'.length), 'hex')];
    const locks = await keepLocks({ repository, snapshot, packs, stateDirectory: scratch, progress });
    assert.deepEqual(
      locks.map(({ place }) => place),
      ['primary'],
    );
    assert.equal(await copy.lock.until(dataPack), clock.now() + 40 * day);
  });

  it('are of the fragments that a copy still has where the primary has joined them, and of the segment where that is', async (test) => {
    const { clock, store, repository, snapshot, fragment, keep, check } = await makeWorld(test);
    const copy = await addCopy({ clock, store }, { required: true });
    const segment = segmentObjectName(snapshot.wal, '000000010000000000000003');
    await repository.putBody('wal-segment', segment, randomBytes(16));
    await store.delete(fragment);
    await clock.advance(2 * day);
    const until = clock.now() + 40 * day;
    assert.deepEqual(await keep(), [
      { place: 'primary', until: until - 2 * day },
      { place: 'far', until: until - 2 * day },
    ]);
    assert.equal(await copy.lock.until(fragment), until);
    assert.ok(!copy.asked.includes(segment) && store.asked.includes(segment));
    for (const { place, isShortened, absentCount } of await check())
      assert.deepEqual([isShortened, absentCount], [false, 0], place);
    // With neither, it is the copy that lacks something.
    await copy.delete(fragment);
    const [, far] = await check();
    assert.deepEqual([far?.isGone, far?.isShortened, far?.unlocked], [true, false, [segment]]);
    await assert.rejects(keep(), { code: 'OBJECT_ABSENT' });
  });

  it('of a copy that is away and need not have everything are left to the next backup', async (test) => {
    const { store, repository, snapshot, scratch } = await makeWorld(test);
    const copy = lockingStore(memoryStore(), lockRule(10 * day));
    for (const required of [false, true]) {
      const places = [
        { name: 'primary', store, required: true },
        { name: 'other', store: copy, required },
      ];
      Object.assign(store, { places });
      const { notes, progress } = noting();
      const kept = keepLocks({ repository, snapshot, packs: [], stateDirectory: scratch, progress });
      if (required) await assert.rejects(kept, { code: 'OBJECT_ABSENT' });
      else {
        assert.deepEqual(
          (await kept).map(({ place }) => place),
          ['primary'],
        );
        assert.match(notes.join(), /copy "other" is behind/);
      }
    }
  });

  it('of such a copy are left to the next backup by whatever it is away, and what it refuses for good ends this one', async (test) => {
    const { clock, store, repository, snapshot, scratch } = await makeWorld(test);
    const copy = await addCopy({ clock, store }, { required: false });
    const troubles = [
      'STORE_SLOW_DOWN',
      'STORE_CREDENTIALS_EXPIRED',
      'STORE_UNAVAILABLE',
      'STORE_ABSENT',
      'STORE_FAILED',
    ];
    for (const code of [...troubles, 'STORE_DENIED', 'STORE_LOCK_ABSENT']) {
      const failing = async () => {
        throw new HoldfastError(code, `could not ask the copy: ${code}`);
      };
      const far = storeWith(copy, { lock: { ...copy.lock, until: failing }, protection: failing });
      Object.assign(store, {
        places: [
          { name: 'primary', store, required: true },
          { name: 'far', store: far, required: false },
        ],
      });
      const { notes, progress } = noting();
      const proving = proveLocks(repository, progress);
      const keeping = keepLocks({ repository, snapshot, packs: [], stateDirectory: scratch, progress });
      if (troubles.includes(code)) {
        await Promise.all([proving, keeping]);
        const note = `the locks of copy "far" are left to the next backup: could not ask the copy: ${code}`;
        assert.deepEqual(notes, [note, note]);
      } else {
        await assert.rejects(proving, { code });
        await assert.rejects(keeping, { code });
      }
    }
  });

  it('are asked for again where what this host knew of them cannot be read, or not be written', async (test) => {
    const { store, repository, snapshot, scratch, keep } = await makeWorld(test);
    await keep();
    const [name = ''] = await readdir(join(scratch, 'locks'));
    await rm(join(scratch, 'locks', name));
    await mkdir(join(scratch, 'locks', name, 'in the way'), { recursive: true });
    store.asked.length = 0;
    const { notes, progress } = noting();
    const [lock] = await keepLocks({ repository, snapshot, packs: [], stateDirectory: scratch, progress });
    assert.equal(lock?.place, 'primary');
    assert.ok(store.asked.includes('format'));
    assert.match(notes.join(), /the next backup asks for all locks again: .*locks/);
  });

  it('are checked without holding on to the index', async (test) => {
    const { repository, check } = await makeWorld(test);
    const loading = test.mock.method(repository, 'loadIndex');
    const index = await repository.loadIndex();
    const closing = test.mock.method(Object.getPrototypeOf(index) as typeof index, 'close');
    await check();
    assert.equal(loading.mock.callCount(), 2);
    assert.equal(closing.mock.callCount(), 1);
  });
});
