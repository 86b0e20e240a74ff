import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import {
  type CuttablePlace,
  cuttablePlace,
  namesIn,
  objectsOf,
  severalPlaces,
} from '../../../test/support/several-places.ts';
import { storeSmallLineage, storeSmallSnapshot } from '../../../test/support/small-snapshot.ts';
import { silentProgress, systemClock } from '../../lib/index.ts';
import {
  type CopiedStore,
  committedName,
  listTreeChunks,
  openCopiedStore,
  pendingName,
  type Repository,
  writePending,
  writeTombstone,
} from '../../repository/index.ts';
import { bringHome } from './bring-home.ts';

const DAY_MS = 86_400_000;
const CONTENTS = { one: Buffer.alloc(300_000, '1'), two: Buffer.alloc(200_000, '2') };

async function takeInWest(inWest: Repository, contents: Record<string, Buffer>, lineage: string) {
  const taken = await storeSmallSnapshot(inWest, contents, lineage, { takenIn: 'west' });
  await writePending(inWest, taken.snapshot);
  return taken;
}

/** A primary with nothing but its roots, a copy with a snapshot that was taken there meanwhile, and another copy without. */
async function setUp(test: TestContext) {
  const [primary, west, north] = [cuttablePlace('primary'), cuttablePlace('west'), cuttablePlace('north')];
  const { repository: inPrimary, open, scratch } = await createRepository(test, { store: primary.inner });
  for (const { inner } of [west, north])
    for (const root of await namesIn(primary.inner)) await inner.putIfAbsent(root, await primary.inner.get(root));
  const inWest = await open({ store: west.inner });
  const { lineage, fragment } = await storeSmallLineage(inWest);
  const taken = await takeInWest(inWest, CONTENTS, lineage);
  const notes: string[] = [];
  const bring = async (store: CopiedStore, options: { bytesPerSecond?: number; clock?: typeof systemClock } = {}) => {
    const repository = await open({ store });
    const progress = { ...silentProgress, note: (line: string) => void notes.push(line) };
    return bringHome({ repository, stateDirectory: scratch, clock: systemClock, progress, ...options });
  };
  const openPlaces = () => severalPlaces(test, { primary, copies: [west, north] }).store;
  return { primary, west, north, inPrimary, inWest, lineage, fragment, taken, bring, notes, openPlaces };
}

/** Announces in the primary that packs are about to be deleted: they lay there, too, and nothing needed them any more. Gives the name. */
async function announce(inPrimary: Repository, packs: readonly string[]): Promise<string> {
  return writeTombstone(inPrimary, { packs: packs.map((name) => name.slice('packs/'.length)) });
}

/** Does something once, when the primary is given the pending record, and before it has it. */
function beforePending(test: TestContext, { inner }: CuttablePlace, act: () => Promise<unknown>): void {
  const put = inner.putIfAbsent.bind(inner);
  let isDone = false;
  test.mock.method(inner, 'putIfAbsent', async (name: string, bytes: Uint8Array) => {
    if (name.startsWith(pendingName('')) && !isDone) {
      isDone = true;
      await act();
    }
    return put(name, bytes);
  });
}

/** The index object that names a pack. */
async function findIndexOf(repository: Repository, pack: string): Promise<string> {
  let found = '';
  const onObject = (name: string, packs: readonly { packId: Uint8Array }[]) => {
    if (packs.some(({ packId }) => pack.endsWith(Buffer.from(packId).toString('hex')))) found = name;
  };
  (await repository.loadIndex({ onObject })).close();
  return found;
}

async function replace({ inner }: CuttablePlace, name: string, bytes: Buffer): Promise<void> {
  await inner.delete(name);
  await inner.putIfAbsent(name, bytes);
}

/** All that the snapshot holds, as the primary alone has it. */
async function readChunks(inPrimary: Repository, snapshot: string): Promise<Buffer> {
  const { tree } = await inPrimary.findSnapshot(snapshot);
  const index = await inPrimary.loadIndex();
  const { readChunk } = inPrimary.openChunkReader(index);
  const chunks: Buffer[] = [];
  for await (const { id, content } of listTreeChunks(tree.root, readChunk))
    if (content === 'data') chunks.push(await readChunk(id));
  return Buffer.concat(chunks);
}

describe('a backup that a copy has alone', () => {
  it('goes to the primary and to no other copy, no faster than asked for, where who brings it feeds the copies', async (test) => {
    const { primary, west, north, taken, bring } = await setUp(test);
    const before = await objectsOf(north.inner);
    const store = openCopiedStore({
      ...{ primary: primary.store, copies: [west, { ...north, required: true }], clock: systemClock },
      ...{ access: 'write', handsOn: false },
    });
    let sleptMs = 0;
    const sleep = async (ms: number) => {
      sleptMs += ms;
    };
    const clock = { ...systemClock, monotonic: () => 0, sleep };
    const [home] = await bring(store, { bytesPerSecond: 1_000, clock });
    await store.close();
    assert.equal(home!.error, null);
    assert.ok(await primary.inner.stat(committedName(taken.snapshot.id)));
    assert.deepEqual(await objectsOf(north.inner), before);
    // Each waits for those before it, so that the last one alone is not waited for.
    assert.ok(home!.bytes > 1_000 && sleptMs >= home!.bytes / 2, `${sleptMs} ms for ${home!.bytes} bytes`);
  });

  it('stays in the copies where the primary has other bytes under one of its names, and all is left alone', async (test) => {
    const { primary, west, taken, bring, openPlaces } = await setUp(test);
    const [pending, other] = [pendingName(taken.snapshot.id), Buffer.from('something else')];
    await primary.inner.putIfAbsent(pending, other);
    const [away] = await bring(openPlaces());
    assert.equal(away!.error?.code, 'REPOSITORY_HOME_DIFFERS');
    assert.match(away!.error!.message, new RegExp(`object "${pending}" differs there`));
    assert.equal(await primary.inner.stat(committedName(taken.snapshot.id)), null);
    assert.deepEqual(await primary.inner.get(pending), other);
    assert.notDeepEqual(await west.inner.get(pending), other);
  });

  it('stays there where the primary has other WAL for its positions, and keeps no other one back', async (test) => {
    const { primary, inPrimary, inWest, lineage, fragment, taken, bring, openPlaces } = await setUp(test);
    const second = await storeSmallLineage(inWest);
    const whole = await takeInWest(inWest, { three: Buffer.from('3') }, second.lineage);
    for (const part of ['lineage', 'lineage.copy']) {
      const name = `${fragment.slice(0, fragment.indexOf(lineage))}${lineage}/${part}`;
      if ((await inWest.store.stat(name)) !== null) await primary.inner.putIfAbsent(name, await inWest.store.get(name));
    }
    // Another receiver was fed by another server.
    const other = fragment.replace(/0{16}(?=[^0-9a-f]*$)/, '1'.repeat(16));
    assert.notEqual(other, fragment);
    await inPrimary.putBody('wal-fragment', other, Buffer.alloc(0x400, 'x'));
    const brought = await bring(openPlaces());
    const outcomes = new Map(brought.map(({ away, error }) => [away.snapshot.id, error]));
    assert.equal(outcomes.get(whole.snapshot.id), null);
    const error = outcomes.get(taken.snapshot.id);
    assert.equal(error?.code, 'REPOSITORY_HOME_DIFFERS');
    assert.match(error!.message, new RegExp(`other WAL than "${fragment}"`));
    assert.equal(await primary.inner.stat(fragment), null);
  });

  it('counts on no pack that a pruner of the primary has announced to delete', async (test) => {
    const { primary, inPrimary, taken, bring, openPlaces } = await setUp(test);
    const packs = [taken.dataPack, taken.treePack];
    await announce(inPrimary, packs);
    const [home] = await bring(openPlaces());
    assert.equal(home!.error, null);
    for (const pack of packs) await primary.inner.delete(pack);
    const held = await readChunks(inPrimary, taken.snapshot.id);
    assert.equal(held.length, CONTENTS.one.length + CONTENTS.two.length);
    assert.deepEqual(held, Buffer.concat(Object.values(CONTENTS)));
  });

  it('is brought whole although what was announced is not to be seen any more once it is pending there', async (test) => {
    const { primary, inPrimary, taken, bring, openPlaces } = await setUp(test);
    const tombstone = await announce(inPrimary, [taken.dataPack, taken.treePack]);
    let isRemoved = false;
    beforePending(test, primary, async () => {
      assert.equal(await primary.inner.stat(taken.dataPack), null, 'what is announced is not brought again');
      await primary.inner.delete(tombstone);
      isRemoved = true;
    });
    const [home] = await bring(openPlaces());
    assert.equal(home!.error, null);
    assert.ok(isRemoved);
    assert.deepEqual(
      await readChunks(inPrimary, taken.snapshot.id),
      Buffer.concat(Object.values(CONTENTS)),
      'its chunks are stored anew',
    );
  });

  it('is not listed in the primary by who began so long ago that announcements may have been removed since', async (test) => {
    const { primary, taken, bring, openPlaces } = await setUp(test);
    const now = primary.inner.now.bind(primary.inner);
    beforePending(test, primary, async () => {
      test.mock.method(primary.inner, 'now', async () => (await now()) + 15 * DAY_MS);
    });
    const [away] = await bring(openPlaces());
    assert.equal(away!.error?.code, 'BACKUP_TOO_LONG');
    assert.ok(await primary.inner.stat(pendingName(taken.snapshot.id)));
    assert.equal(await primary.inner.stat(committedName(taken.snapshot.id)), null);
  });

  it('stays there where a chunk is named by no index that can be read, and what cannot be read is told', async (test) => {
    const { primary, west, inWest, taken, bring, openPlaces } = await setUp(test);
    // Each pack has its own: the one that names the tree is needed to find out what is missing.
    const name = await findIndexOf(inWest, taken.dataPack);
    await replace(west, name, Buffer.alloc(500, 'x'));
    const [away] = await bring(openPlaces());
    const { error } = away!;
    assert.equal(error?.code, 'REPOSITORY_HOME_INCOMPLETE');
    assert.match(error!.detail!, new RegExp(`Could not read "${name}" in copy "west": `));
    assert.match(error!.hints[0]!, /holdfast verify --from west/);
    for (const record of [pendingName, committedName])
      assert.equal(await primary.inner.stat(record(taken.snapshot.id)), null);
  });

  it('comes from another copy that has it where one cannot say what it has, and is kept back by a lack of all', async (test) => {
    const { west, north, inPrimary, inWest, lineage, taken, bring, notes, openPlaces } = await setUp(test);
    const second = await takeInWest(inWest, { three: Buffer.from('3') }, lineage);
    for (const [name, bytes] of await objectsOf(west.inner))
      if ((await north.inner.stat(name)) === null) await north.inner.putIfAbsent(name, Buffer.from(bytes, 'base64'));
    // Whoever writes may not go on without knowing what a tombstone covers.
    const unreadable = `tombstones/${'0'.repeat(64)}`;
    await west.inner.putIfAbsent(unreadable, Buffer.alloc(200, 'x'));
    await north.inner.putIfAbsent(unreadable, Buffer.alloc(200, 'x'));
    const kept = await bring(openPlaces());
    assert.deepEqual(
      kept.map(({ error }) => error?.code),
      ['OBJECT_DAMAGED', 'OBJECT_DAMAGED'],
    );
    notes.length = 0;
    await north.inner.delete(unreadable);
    const isIndex = (call: string) => call.startsWith('get index/');
    north.calls.length = 0;
    const brought = await bring(openPlaces());
    assert.deepEqual(
      brought.map(({ error }) => error),
      [null, null],
    );
    assert.equal(notes.filter((line) => /copy "west" is not asked for chunks/.test(line)).length, 1);
    const asked = north.calls.filter(isIndex);
    assert.equal(asked.length, new Set(asked).size, 'the index of a copy is read once for all snapshots');
    assert.ok(asked.length > 0);
    const held = await readChunks(inPrimary, taken.snapshot.id);
    assert.deepEqual(held, Buffer.concat(Object.values(CONTENTS)));
    assert.deepEqual(await readChunks(inPrimary, second.snapshot.id), Buffer.from('3'));
  });
});
