import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { flipBit } from '../../../test/support/bits.ts';
import { createRepository, scratchFor } from '../../../test/support/memory-repository.ts';
import { cuttablePlace, namesIn, objectsOf, severalPlaces } from '../../../test/support/several-places.ts';
import { storeSmallLineage, storeSmallSnapshot } from '../../../test/support/small-snapshot.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { attest } from '../attestation/index.ts';
import { listKnownDamage } from '../damage/index.ts';
import { type ObjectStore, openDiskStore } from '../object-store/index.ts';
import { getBodyStream, putBodyStream } from '../sealed/index.ts';
import { recordForgotten } from '../snapshot/index.ts';
import { writeTombstone } from '../tombstone/index.ts';
import { healObject } from './heal-object.ts';
import { proveObject } from './prove-object.ts';

/** A repository with one object of many kinds in a primary and a copy. */
async function setUp(test: TestContext) {
  const places = severalPlaces(test);
  const { repository, open } = await createRepository(test, { store: places.store });
  const { lineage } = await storeSmallLineage(repository);
  const { snapshot } = await storeSmallSnapshot(
    repository,
    { 'data/a': randomBytes(9000), 'data/b': Buffer.alloc(50_000, 'b') },
    lineage,
  );
  await attest(repository, { snapshot: snapshot.id, level: 'stored', facts: {} });
  await places.store.settled();
  const names = [...(await objectsOf(places.primary.inner)).keys()];
  const reopen = () => open({ access: 'read', store: places.open('read') });
  return { ...places, repository, reopen, snapshot, names };
}

async function damage(store: ObjectStore, name: string): Promise<void> {
  const bytes = await store.get(name);
  await store.delete(name);
  // In the middle: what stands at the ends of an object is looked at first.
  await store.putIfAbsent(name, flipBit(bytes, bytes.length * 4));
}

describe('healing from another place', () => {
  it('calls nothing healed that is not proved where it lies, and never puts an empty object in its place', async (test) => {
    for (const [call, answer, code] of [
      ['stat', () => null, 'OBJECT_ABSENT'],
      ['getRange', (_: string, __: number, length: number) => Buffer.alloc(length), 'OBJECT_DAMAGED'],
    ] as const) {
      const { repository, primary, copies, snapshot } = await setUp(test);
      const name = `snapshots/committed/${snapshot.id}`;
      await damage(primary.inner, name);
      const source = copies[0]!.store;
      let calls = 0;
      // Honest while it is proved, and otherwise when it is copied.
      const honest = source[call].bind(source) as (...given: unknown[]) => unknown;
      const fading = storeWith(source, {
        [call]: async (...given: [string, number, number]) => (calls++ === 0 ? honest(...given) : answer(...given)),
      });
      const places = [repository.store.places![0]!, { ...copies[0]!, store: fading }];
      await assert.rejects(healObject(repository.inPlace(storeWith(repository.store, { places })), name), { code });
      assert.ok((await primary.inner.stat(name))!.size > 0);
      assert.ok((await listKnownDamage(repository)).every(({ note }) => note?.state !== 'healed'));
    }
  });

  it('finds every bit that is turned over in any kind of object, and puts the whole one in its place', async (test) => {
    const { repository, primary, copies, names } = await setUp(test);
    const truth = await objectsOf(primary.inner);
    for (const place of [primary, copies[0]!]) {
      for (const name of names) {
        await damage(place.inner, name);
        const result = await healObject(repository, name);
        assert.deepEqual(result.healed, [{ place: place.name, was: 'damaged', outcome: 'replaced' }], name);
        await place.inner.delete(name);
        const again = await healObject(repository, name);
        assert.deepEqual(again.healed, [{ place: place.name, was: 'absent', outcome: 'put' }], name);
        assert.equal((await place.inner.get(name)).toString('base64'), truth.get(name));
        assert.deepEqual((await healObject(repository, name)).healed, []);
      }
    }
    const known = await listKnownDamage(repository);
    assert.equal(known.length, names.length, 'of the primary alone');
    assert.deepEqual([...new Set(known.map(({ note }) => note?.state))], ['healed']);
  });

  it('leaves alone what no place has whole, and what a place does not let be replaced', async (test) => {
    const { repository, primary, copies, names } = await setUp(test);
    const name = names.find((each) => each.startsWith('index/'))!;
    await damage(primary.inner, name);
    // As a bucket whose objects are locked.
    Object.assign(primary.inner, { replaceDamaged: undefined });
    assert.deepEqual((await healObject(repository, name)).healed, [
      { place: 'primary', was: 'damaged', outcome: 'kept' },
    ]);
    assert.equal((await repository.getBody('index', name)).length > 0, true, 'a writer reads it from the copy');
    await damage(copies[0]!.inner, name);
    assert.deepEqual(await healObject(repository, name), { name, from: null, healed: [], away: [] });
    copies[0]!.isCut = true;
    assert.deepEqual((await healObject(repository, name)).away, ['elsewhere']);
    copies[0]!.isCut = false;
  });

  it('never puts into another place what is about one place alone', async (test) => {
    const { repository, primary, copies } = await setUp(test);
    const entry = { id: 'cd'.repeat(32), cluster: 'main', completedAt: '2026-01-01T00:00:00.000Z', reason: 'A test.' };
    const inPrimary = repository.inPlace(primary.inner);
    await recordForgotten(inPrimary, [entry]);
    await writeTombstone(inPrimary, { packs: ['ab'.repeat(32)] });
    const ofOnePlace = [...(await namesIn(primary.inner))].filter((name) =>
      /^(tombstones|snapshots.forgotten)/.test(name),
    );
    assert.equal(ofOnePlace.length, 2);
    const before = await namesIn(copies[0]!.inner);
    for (const name of ofOnePlace) {
      assert.deepEqual(await healObject(repository, name), { name, from: null, healed: [], away: [] });
      await damage(primary.inner, name);
      assert.deepEqual((await healObject(repository, name)).healed, []);
    }
    assert.deepEqual(await namesIn(copies[0]!.inner), before);
    assert.deepEqual(await listKnownDamage(repository), []);
  });

  it('replaces on a disk in one step, and leaves no file behind', async (test) => {
    const disk = openDiskStore(await scratchFor(test, 'heal'));
    const places = severalPlaces(test, { primary: cuttablePlace('primary', { inner: disk }) });
    const { repository } = await createRepository(test, { store: places.store });
    const name = await repository.putDrawn('index', 'index/', randomBytes(3_000_000));
    await places.store.settled();
    await damage(disk, name);
    await healObject(repository, name);
    await proveObject(repository, disk, name);
    assert.ok((await namesIn(disk)).includes(name));
  });
});

describe('reading from several places', () => {
  it('gives every body, stream, chunk and snapshot from the place that has it whole, and names the other', async (test) => {
    const { primary, reopen, names, events, snapshot } = await setUp(test);
    for (const name of names)
      if (name !== 'format' && !name.startsWith('keys/') && !name.startsWith('features/'))
        await damage(primary.inner, name);
    const reader = await reopen();
    assert.deepEqual((await reader.listSnapshots()).snapshots, [snapshot]);
    const index = await reader.loadIndex();
    assert.deepEqual(index.unreadable, []);
    const chunks = reader.openChunkReader(index);
    assert.equal((await chunks.readChunk(reader.keys.identifyChunk(Buffer.alloc(50_000, 'b')))).length, 50_000);
    const told = events.filter(({ kind }) => kind === 'damaged');
    for (const kind of ['packs/', 'index/', 'snapshots/committed/'])
      assert.ok(
        told.some(
          (event) =>
            event.kind === 'damaged' &&
            event.place === 'primary' &&
            event.name.startsWith(kind) &&
            event.healthy === 'elsewhere',
        ),
        kind,
      );
  });

  it('goes on with a stream in another place from where the first one failed', async (test) => {
    const { repository, primary, store } = await setUp(test);
    const body = randomBytes(9_500_000);
    const name = 'wal/7/stream';
    const place = { kind: 'wal-segment', name } as const;
    await putBodyStream(repository, place, Readable.from([body]));
    await store.untilCopied([name]);
    await damage(primary.inner, name);
    const pieces: Buffer[] = [];
    for await (const piece of getBodyStream(repository, place)) pieces.push(Buffer.from(piece));
    assert.ok(pieces.length > 5 && Buffer.concat(pieces).equals(body));
  });

  it('opens by the format and the keys of another place when those of the primary are damaged or gone', async (test) => {
    const { primary, reopen, names } = await setUp(test);
    for (const name of ['format', ...names.filter((each) => each.startsWith('keys/'))]) {
      const bytes = await primary.inner.get(name);
      await primary.inner.delete(name);
      assert.equal((await reopen()).access, 'read');
      await primary.inner.putIfAbsent(name, flipBit(bytes, bytes.length * 4));
      assert.equal((await reopen()).access, 'read');
      await primary.inner.delete(name);
      await primary.inner.putIfAbsent(name, bytes);
    }
  });
});
