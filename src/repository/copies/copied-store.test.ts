import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { describeObjectStore } from '../../../test/contract/object-store.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { cuttablePlace, namesIn, objectsOf, severalPlaces } from '../../../test/support/several-places.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { type HoldfastError, systemClock } from '../../lib/index.ts';
import { memoryStore, type ObjectEntry } from '../object-store/index.ts';
import { openCopiedStore } from './copied-store.ts';

describeObjectStore('a store with copies', async (test) => severalPlaces(test).store);

const lineage = `wal/7123/${'ab'.repeat(32)}`;

describe('what is put into a store with copies', () => {
  it('reaches every copy, and is there once the store says that it has settled', async (test) => {
    const copies = [cuttablePlace('one', { required: true }), cuttablePlace('two')];
    const places = severalPlaces(test, { copies });
    await createRepository(test, { store: places.store });
    await places.store.putIfAbsent(`packs/${'01'.repeat(32)}`, randomBytes(9_000_000));
    await places.store.putIfAbsent(`index/${'01'.repeat(32)}`, randomBytes(100));
    await places.store.putVolatile('volatile/leases/a', Buffer.from('1'));
    const states = await places.store.settled();
    for (const copy of copies) assert.deepEqual(await objectsOf(copy.inner), await objectsOf(places.primary.inner));
    assert.deepEqual(
      states.map(({ name, state, waiting }) => [name, state, waiting]),
      [
        ['one', 'in-step', 0],
        ['two', 'in-step', 0],
      ],
    );
    assert.equal(await copies[0]!.inner.stat('volatile/leases/a'), null);
  });

  it('is not held up by a copy that is cut off, and reaches it when the line is whole', async (test) => {
    const places = severalPlaces(test);
    const [copy] = places.copies;
    await createRepository(test, { store: places.store });
    await places.store.settled();
    copy!.isCut = true;
    for (let i = 0; i < 20; i++) await places.store.putIfAbsent(`${lineage}/fragments/${i}`, randomBytes(1000));
    await places.store.settled({ msMax: 50 });
    assert.equal(places.store.copyStates[0]?.state, 'away');
    assert.equal(places.store.copyStates[0]?.error?.code, 'STORE_UNAVAILABLE');
    assert.ok(places.store.copyStates[0]!.waiting >= 20);
    copy!.isCut = false;
    await places.store.settled();
    assert.deepEqual(await objectsOf(copy!.inner), await objectsOf(places.primary.inner));
    assert.deepEqual(
      places.events.map(({ kind }) => kind).filter((kind) => kind.startsWith('place-')),
      ['place-away', 'place-back'],
    );
  });

  it('is found by comparing when the process that put it is gone', async (test) => {
    const places = severalPlaces(test);
    const { repository } = await createRepository(test, { store: places.primary.inner });
    for (let i = 0; i < 5; i++) await repository.putDrawn('index', 'index/', randomBytes(100));
    places.store.beginCatchUp();
    await places.store.settled();
    assert.deepEqual(await objectsOf(places.copies[0]!.inner), await objectsOf(places.primary.inner));
  });

  it('is never put over an object of a copy, which is told as differing', async (test) => {
    const places = severalPlaces(test);
    await createRepository(test, { store: places.store });
    await places.store.settled();
    const name = `packs/${'02'.repeat(32)}`;
    await places.copies[0]!.inner.putIfAbsent(name, Buffer.from('something else'));
    await places.store.putIfAbsent(name, randomBytes(500));
    await places.store.settled();
    assert.equal((await places.copies[0]!.inner.get(name)).toString(), 'something else');
    assert.deepEqual(places.store.copyStates[0]?.differing, [name]);
    await assert.rejects(places.store.untilCopied([name]), { code: 'REPOSITORY_COPY_DIFFERS' });
    await assert.rejects(places.store.untilCopied(['packs/']), { code: 'REPOSITORY_COPY_DIFFERS' });
  });

  it('goes to no place of another repository, nor of anything else', async (test) => {
    const other = await createRepository(test);
    const photos = memoryStore();
    await photos.putIfAbsent('photos/a.jpg', Buffer.from('x'));
    const copies = [
      cuttablePlace('other', { inner: other.store, required: true }),
      cuttablePlace('photos', { inner: photos }),
    ];
    const places = severalPlaces(test, { copies });
    await createRepository(test, { store: places.store });
    const before = await Promise.all(copies.map(({ inner }) => objectsOf(inner)));
    await places.store.putIfAbsent(`packs/${'03'.repeat(32)}`, randomBytes(500));
    await places.store.settled();
    await assert.rejects(places.store.checkCopies(), { code: 'REPOSITORY_COPY_FOREIGN' });
    await assert.rejects(places.store.untilCopied(['packs/']), { code: 'REPOSITORY_COPY_FOREIGN' });
    assert.deepEqual(await Promise.all(copies.map(({ inner }) => objectsOf(inner))), before);
    assert.deepEqual(
      places.store.copyStates.map(({ state }) => state),
      ['foreign', 'foreign'],
    );
  });

  it('stays in the copies when it is deleted in the primary', async (test) => {
    const places = severalPlaces(test);
    await createRepository(test, { store: places.store });
    const name = `${lineage}/fragments/1`;
    await places.store.putIfAbsent(name, Buffer.from('x'));
    await places.store.settled();
    await places.store.delete(name);
    await places.store.settled();
    assert.equal(await places.store.stat(name), null);
    assert.equal((await places.copies[0]!.inner.get(name)).toString(), 'x');
  });

  it('is waited for by whoever needs it in every required copy, and only there', async (test) => {
    const copies = [cuttablePlace('needed', { required: true }), cuttablePlace('other')];
    const places = severalPlaces(test, { copies });
    await createRepository(test, { store: places.store });
    copies[1]!.isCut = true;
    copies[0]!.isCut = true;
    const name = `packs/${'04'.repeat(32)}`;
    await places.store.putIfAbsent(name, randomBytes(5000));
    await assert.rejects(places.store.untilCopied([name], { patienceMs: 0 }), { code: 'REPOSITORY_COPY_AWAY' });
    const stop = new AbortController();
    const told: [string, string, number][] = [];
    const onWait = ({ place, error, msMax }: { place: string; error: HoldfastError; msMax: number }) => {
      told.push([place, error.code, msMax]);
      stop.abort();
    };
    await assert.rejects(places.store.untilCopied([name], { signal: stop.signal, onWait }), { name: 'AbortError' });
    assert.deepEqual(told, [['needed', 'STORE_UNAVAILABLE', 300_000]], 'what is waited for is said, and how long');
    copies[0]!.isCut = false;
    await places.store.untilCopied(['keys/', 'format', 'packs/']);
    assert.equal((await copies[0]!.inner.stat(name))?.size, 5000);
    copies[1]!.isCut = false;
  });

  it('is not in a required copy because an old listing has it there', async (test) => {
    const honest = memoryStore();
    const gone: ObjectEntry[] = [];
    const old = storeWith(honest, {
      list: (prefix: string, options?: object) => {
        const shown = gone.filter((entry) => entry.name.startsWith(prefix));
        return shown.length > 0 ? Readable.from(shown) : honest.list(prefix, options);
      },
    });
    const places = severalPlaces(test, { copies: [cuttablePlace('old', { inner: old, required: true })] });
    await createRepository(test, { store: places.store });
    const name = `packs/${'06'.repeat(32)}`;
    await places.store.putIfAbsent(name, randomBytes(5000));
    await places.store.settled();
    for await (const entry of honest.list('packs/')) gone.push(entry);
    assert.equal(gone.length, 1);
    await honest.delete(name);
    await places.store.untilCopied(['packs/']);
    assert.equal((await honest.stat(name))?.size, 5000);
  });

  it('costs a process of a moment no comparison', async (test) => {
    const places = severalPlaces(test, { catchUp: false });
    await createRepository(test, { store: places.primary.inner });
    await places.store.putIfAbsent(`${lineage}/lineage`, randomBytes(100));
    await places.store.putIfAbsent(`${lineage}/segments/000000010000000000000001`, randomBytes(1000));
    await places.store.close();
    assert.deepEqual(await objectsOf(places.copies[0]!.inner), await objectsOf(places.primary.inner));
    assert.ok(!places.primary.calls.includes('list packs/'));
  });
});

describe('what is read from a store with copies', () => {
  it('comes from a copy when the primary is away, lacks it, or is burnt, and that is told', async (test) => {
    const places = severalPlaces(test);
    const { repository, open } = await createRepository(test, { store: places.store });
    const name = await repository.putDrawn('index', 'index/', Buffer.from('content'));
    await places.store.settled();
    await places.primary.inner.delete(name);
    const lacking = await open({ access: 'read', store: places.open('read') });
    assert.equal((await lacking.getBody('index', name)).toString(), 'content');
    assert.deepEqual(places.events.at(-1), { kind: 'missing', place: 'primary', name, healthy: 'elsewhere' });
    places.primary.isCut = true;
    const reader = places.open('read');
    const away = await open({ access: 'read', store: reader });
    assert.equal((await away.getBody('index', name)).toString(), 'content');
    assert.deepEqual((await away.listSnapshots()).snapshots, []);
    assert.ok(places.events.some((event) => event.kind === 'place-away' && event.place === 'primary'));
    assert.equal((await reader.stat(name))?.size, (await places.copies[0]!.inner.stat(name))?.size);
  });

  it('is listed as the union of the places that answer, and not at all when none does', async (test) => {
    const places = severalPlaces(test, { access: 'read' });
    await places.primary.inner.putIfAbsent('packs/a', Buffer.from('1'));
    await places.primary.inner.putIfAbsent('packs/b', Buffer.from('1'));
    await places.copies[0]!.inner.putIfAbsent('packs/b', Buffer.from('1'));
    await places.copies[0]!.inner.putIfAbsent('packs/c', Buffer.from('1'));
    const names = () => namesIn(places.store, 'packs/');
    assert.deepEqual(await names(), ['packs/a', 'packs/b', 'packs/c']);
    places.copies[0]!.isCut = true;
    assert.deepEqual(await names(), ['packs/a', 'packs/b']);
    places.primary.isCut = true;
    await assert.rejects(names(), { code: 'STORE_UNAVAILABLE' });
    await assert.rejects(places.store.get('packs/a'), { code: 'STORE_UNAVAILABLE' });
    await assert.rejects(places.store.stat('packs/a'), { code: 'STORE_UNAVAILABLE' });
  });

  it('is to a writer what the primary holds', async (test) => {
    const places = severalPlaces(test, { catchUp: false });
    await places.copies[0]!.inner.putIfAbsent('packs/c', Buffer.from('1'));
    assert.equal(await places.store.stat('packs/c'), null);
    await assert.rejects(places.store.get('packs/c'), { code: 'OBJECT_ABSENT' });
    assert.deepEqual(await namesIn(places.store), []);
    places.primary.isCut = true;
    await assert.rejects(places.store.get('packs/c'), { code: 'STORE_UNAVAILABLE' });
  });

  it('never comes from a place of another repository', async (test) => {
    const other = await createRepository(test);
    await other.store.putIfAbsent('packs/c', Buffer.from('1'));
    const places = severalPlaces(test, { access: 'read', copies: [cuttablePlace('other', { inner: other.store })] });
    await createRepository(test, { store: places.primary.inner });
    await assert.rejects(places.store.get('packs/c'), { code: 'OBJECT_ABSENT' });
    assert.deepEqual(await namesIn(places.store, 'packs/'), []);
    assert.ok(places.events.some((event) => event.kind === 'foreign' && event.place === 'other'));
  });

  it('is asked of the nearest place first, and of another one for a while after that has failed', async (test) => {
    const far = cuttablePlace('primary');
    const slow = storeWith(far.store, {
      get: async (name) => {
        await systemClock.sleep(30);
        return far.store.get(name);
      },
    });
    const near = cuttablePlace('near');
    for (const place of [far, near]) {
      await place.inner.putIfAbsent('format', Buffer.from('f'));
      await place.inner.putIfAbsent('packs/a', Buffer.from('1'));
    }
    const store = openCopiedStore({ primary: slow, copies: [near], clock: systemClock, access: 'read' });
    test.after(() => store.close());
    await store.get('packs/a');
    assert.ok(near.calls.includes('get packs/a') && !far.calls.includes('get packs/a'));
    near.isCut = true;
    await store.get('packs/a');
    near.isCut = false;
    near.calls.length = 0;
    await store.get('packs/a');
    assert.deepEqual(near.calls, []);
  });
});
