import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { alteringStore } from '../../../test/support/altering-store.ts';
import { namesIn } from '../../../test/support/listing.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { cuttablePlace, severalPlaces } from '../../../test/support/several-places.ts';
import { storePack, storeSmallLineage, storeSmallSnapshot } from '../../../test/support/small-snapshot.ts';
import { HoldfastError, silentProgress, systemClock } from '../../lib/index.ts';
import {
  attest,
  attestDoubt,
  kindPrefix,
  listAttestations,
  listDamagedPacks,
  listKnownDamage,
  type ObjectStore,
  type Repository,
  recordForgotten,
  writeTombstone,
} from '../../repository/index.ts';
import { type VerifyOptions, verifySnapshots } from './verify-snapshots.ts';

async function makeWorld(test: TestContext, given?: ObjectStore) {
  const { repository, store, scratch, open } = await createRepository(
    test,
    given === undefined ? {} : { store: given },
  );
  const { lineage, fragment } = await storeSmallLineage(repository);
  const contents = { 'data/a': randomBytes(5_000), 'data/b': randomBytes(7_000) };
  const stored = await storeSmallSnapshot(repository, contents, lineage);
  const verify = (options: Partial<VerifyOptions> & { on?: Repository } = {}) => {
    const { on, record, ...rest } = options;
    return verifySnapshots({
      repository: on ?? repository,
      record: record ?? true,
      stateDirectory: scratch,
      clock: systemClock,
      progress: silentProgress,
      ...rest,
    });
  };
  return { repository, store, open, contents, lineage, fragment, verify, ...stored };
}

/** Changes an object in place, as a failing disk would. */
async function tamper(store: ObjectStore, name: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  const changed = change(await store.get(name));
  await store.delete(name);
  await store.putIfAbsent(name, changed);
}

const flipBit = (at: number) => (bytes: Buffer) => {
  const offset = at < 0 ? bytes.length + at : at;
  bytes[offset]! ^= 0x10;
  return bytes;
};

describe('a verification', () => {
  it('of a sound repository attests its snapshots and tells the ledger', async (test) => {
    const { repository, store, snapshot, verify } = await makeWorld(test);
    const result = await verify();
    assert.equal(result.isSound, true);
    assert.deepEqual(result.snapshots, [{ snapshot, problems: [] }]);
    assert.equal(result.packsChecked, 2);
    assert.equal(result.chunksChecked, 3);
    assert.equal(result.walObjectsChecked, 1);
    const { attestations } = await listAttestations(repository, snapshot.id);
    assert.deepEqual(
      attestations.map(({ level }) => level),
      ['verified'],
    );
    const entries = await namesIn(store, 'ledger/');
    assert.equal(entries.length, 1);
  });

  it('that only reports says what the primary has, though a copy is whole, and says when it is the copies', async (test) => {
    const copies = [cuttablePlace('whole')];
    const places = severalPlaces(test, { copies });
    const { open, dataPack, verify } = await makeWorld(test, places.store);
    await places.store.settled();
    await tamper(places.primary.inner, dataPack, flipBit(200));
    const reader = await open({ access: 'read', store: places.open('read') });
    const found = await verify({ on: reader, record: false });
    assert.deepEqual([found.isSound, found.primaryAway], [false, null]);
    assert.deepEqual(
      found.damage.map(({ object }) => object),
      [dataPack],
    );
    places.primary.isCut = true;
    const away = await verify({ on: reader, record: false });
    assert.deepEqual([away.isSound, away.primaryAway?.code], [true, 'STORE_UNAVAILABLE']);
  });

  it('that only reports writes nothing, damage or none', async (test) => {
    const { store, open, dataPack, verify } = await makeWorld(test);
    const reader = await open({ access: 'read' });
    const before = await namesIn(store, '');
    await verify({ on: reader, record: false });
    await tamper(store, dataPack, flipBit(200));
    assert.equal((await verify({ on: reader, record: false })).isSound, false);
    assert.deepEqual(await namesIn(store, ''), before);
  });

  it('finds one flipped bit wherever in a pack it lies, and records the pack as damaged', async (test) => {
    for (const which of ['dataPack', 'treePack'] as const) {
      for (const at of [0, 30, 63, 64, 4_000, -1, -8, -9, -60]) {
        const world = await makeWorld(test);
        const pack = world[which];
        const size = (await world.store.stat(pack))!.size;
        if (at >= size - 100) continue; // The tree's pack is small, and its directory is reached from the end.
        await tamper(world.store, pack, flipBit(at));
        const result = await world.verify();
        assert.deepEqual(
          result.damagedPacks.map((found) => found.pack),
          [pack],
          `${which} ${at}`,
        );
        assert.deepEqual([...(await listDamagedPacks(world.store))], [pack.slice('packs/'.length)]);
      }
    }
  });

  it('names the files that are lost, and leaves the snapshot without an attestation', async (test) => {
    const { repository, store, snapshot, dataPack, verify } = await makeWorld(test);
    await tamper(store, dataPack, flipBit(64 + 5_000 + 16 + 10)); // In the second frame, behind header and first frame.
    const [verdict] = (await verify()).snapshots;
    assert.deepEqual(verdict?.problems, [{ kind: 'files', count: 1, names: ['data/b'] }]);
    assert.deepEqual((await listAttestations(repository, snapshot.id)).attestations, []);
  });

  it('finds a pack that is gone, and one that ends too early', async (test) => {
    const gone = await makeWorld(test);
    await gone.store.delete(gone.dataPack);
    const [verdict] = (await gone.verify()).snapshots;
    assert.deepEqual(verdict?.problems, [{ kind: 'files', count: 2, names: ['data/a', 'data/b'] }]);

    const short = await makeWorld(test);
    await tamper(short.store, short.dataPack, (bytes) => bytes.subarray(0, 9_000));
    const result = await short.verify();
    assert.deepEqual(
      result.damagedPacks.map(({ pack }) => pack),
      [short.dataPack],
    );
    assert.equal(result.snapshots[0]?.problems[0]?.kind, 'files');
  });

  it('says that the list of files cannot be read when that is what is damaged', async (test) => {
    const { store, treePack, verify } = await makeWorld(test);
    await tamper(store, treePack, flipBit(70));
    const result = await verify();
    assert.equal(result.snapshots[0]?.problems[0]?.kind, 'tree');
    assert.deepEqual(
      result.damagedPacks.map(({ pack }) => pack),
      [treePack],
    );
  });

  it('calls a snapshot sound when another copy of the lost chunk is', async (test) => {
    const { repository, store, contents, dataPack, verify } = await makeWorld(test);
    await storePack(repository, 'data', Object.values(contents));
    await tamper(store, dataPack, flipBit(100));
    const result = await verify();
    assert.deepEqual(result.snapshots[0]?.problems, []);
    assert.equal(result.damagedPacks.length, 1);
    assert.equal(result.isSound, false);
  });

  it('finds WAL that is gone and WAL that is damaged', async (test) => {
    const gone = await makeWorld(test);
    await gone.store.delete(gone.fragment);
    const [missing] = (await gone.verify()).snapshots;
    assert.match(missing?.problems[0]?.kind === 'wal' ? missing.problems[0].sentence : '', /0\/300000 to 0\/300400/);

    const flipped = await makeWorld(test);
    await tamper(flipped.store, flipped.fragment, flipBit(-5));
    const result = await flipped.verify();
    assert.equal(result.snapshots[0]?.problems[0]?.kind, 'wal');
    assert.deepEqual(
      result.damagedWal.map(({ object }) => object),
      [flipped.fragment],
    );
  });

  it('finds a record and an index object that cannot be read', async (test) => {
    for (const prefix of ['snapshots/committed/', 'index/', 'attest/']) {
      const { repository, store, snapshot, verify } = await makeWorld(test);
      await attest(repository, { snapshot: snapshot.id, level: 'stored', facts: {} });
      const [name = ''] = await namesIn(store, prefix);
      await tamper(store, name, flipBit(-3));
      const result = await verify();
      assert.equal(result.isSound, false);
      assert.ok(
        result.unreadable.some(({ object }) => object === name),
        prefix,
      );
    }
  });

  it('finds a doubt that cannot be read, or that somebody made up', async (test) => {
    const { repository, store, snapshot, verify } = await makeWorld(test);
    await attestDoubt(repository, { snapshots: [snapshot.id], facts: {} });
    assert.equal((await verify()).isSound, true);
    const [name = ''] = await namesIn(store, 'attest/doubts/');
    await tamper(store, name, flipBit(-3));
    const made = await repository.putDrawn('attestation', 'attest/doubts/', Buffer.from('{}'));
    const { unreadable, isSound } = await verify();
    assert.equal(isSound, false);
    assert.deepEqual(unreadable.map(({ object }) => object).sort(), [name, made].sort());
  });

  it('calls an announced pack that went no damage unless a snapshot needs it and nothing else has it', async (test) => {
    const { repository, store, contents, snapshot, dataPack, verify } = await makeWorld(test);
    const idOf = (name: string) => name.slice(kindPrefix('data-pack').length);
    const other = await storePack(repository, 'data', Object.values(contents));
    const unneeded = await storePack(repository, 'data', [randomBytes(300)]);
    await writeTombstone(repository, { packs: [dataPack, unneeded].map(idOf) });
    for (const name of [dataPack, unneeded]) await store.delete(name);
    for (const scope of [{}, { snapshots: [snapshot] }]) {
      const { isSound, damage, damagedPacks } = await verify(scope);
      assert.deepEqual([isSound, damage, damagedPacks], [true, [], []]);
    }
    assert.deepEqual(await namesIn(store, 'damage/'), []);
    await writeTombstone(repository, { packs: [idOf(other)] });
    await store.delete(other);
    const lost = await verify();
    assert.deepEqual(lost.snapshots[0]?.problems, [{ kind: 'files', count: 2, names: ['data/a', 'data/b'] }]);
    const packs = [dataPack, other].sort();
    assert.deepEqual(lost.damagedPacks.map(({ pack }) => pack).sort(), packs);
    assert.deepEqual([...(await listDamagedPacks(store))].sort(), packs.map(idOf));
  });

  it('opens the record of what was forgotten, and knows its name', async (test) => {
    const { repository, store, snapshot, verify } = await makeWorld(test);
    const { id, cluster, completedAt } = snapshot;
    await recordForgotten(repository, [{ id, cluster, completedAt, reason: 'The test wants it to go.' }]);
    const { isSound, unreferenced } = await verify();
    assert.deepEqual([isSound, unreferenced?.foreign], [true, []]);
    const [name = ''] = await namesIn(store, 'snapshots/forgotten/');
    await tamper(store, name, flipBit(-3));
    const { unreadable } = await verify();
    assert.deepEqual(
      unreadable.map(({ object }) => object),
      [name],
    );
  });

  it('says what to do about a tombstone that cannot be read, which no copy has', async (test) => {
    const { repository, store, open, dataPack, verify } = await makeWorld(test);
    await writeTombstone(repository, { packs: [dataPack.slice(kindPrefix('data-pack').length)] });
    const [name = ''] = await namesIn(store, 'tombstones/');
    await tamper(store, name, flipBit(-3));
    await store.delete(dataPack);
    const { damage } = await verify({ on: await open({ access: 'read' }), record: false });
    const found = damage.find(({ object }) => object === name);
    assert.match(found?.costSentence ?? '', /Nobody may write/);
    assert.match(found?.advice.join() ?? '', /delete object "tombstones.* then run holdfast verify/);
    assert.ok(damage.some(({ object, state }) => object === dataPack && state === 'harmful'));
  });

  it('takes a store that does not answer for what it is, and records no damage', async (test) => {
    const { store, open, dataPack, verify } = await makeWorld(test);
    const away: ObjectStore = Object.assign(Object.create(store) as ObjectStore, {
      getRange: async (name: string, offset: number, length: number) => {
        if (name === dataPack)
          throw new HoldfastError('STORE_UNAVAILABLE', 'could not reach the store', { retryable: true });
        return store.getRange(name, offset, length);
      },
    });
    const names = ['get', 'stat', 'list', 'putIfAbsent', 'now', 'spoolDirectory'] as const;
    for (const name of names) Object.assign(away, { [name]: store[name].bind(store) });
    const repository = await open({ store: away });
    await assert.rejects(verify({ on: repository }), { code: 'STORE_UNAVAILABLE' });
    assert.deepEqual([...(await listDamagedPacks(store))], []);
  });

  it('calls a damaged tree healed once equal nodes are stored again, and says so once', async (test) => {
    const { repository, store, contents, lineage, snapshot, treePack, verify } = await makeWorld(test);
    await tamper(store, treePack, flipBit(70));
    const first = await verify();
    assert.deepEqual(
      first.damage.map(({ object, state, snapshots }) => [object, state, snapshots[0]?.files]),
      [[treePack, 'harmful', 2]],
    );
    await storeSmallSnapshot(repository, contents, lineage);
    for (let i = 0; i < 2; i++) {
      const again = await verify();
      assert.deepEqual(
        again.damage.map(({ object, state }) => [object, state]),
        [[treePack, 'healed']],
      );
      assert.equal(again.isSound, true);
    }
    const { attestations } = await listAttestations(repository, snapshot.id);
    assert.equal(attestations.at(-1)?.level, 'verified');
    const notes = (await namesIn(store, 'damage/')).map((name) => name.slice('damage/'.length + 64));
    assert.deepEqual(notes, ['', '.00000001', '.00000002'], 'the record, its cost, and that it is healed');
  });

  it('calls damage healed when the object was put back from a copy', async (test) => {
    const { repository, store, dataPack, fragment, verify } = await makeWorld(test);
    const sound = new Map<string, Buffer>();
    for (const name of [dataPack, fragment]) {
      sound.set(name, await store.get(name));
      await tamper(store, name, flipBit(100));
    }
    assert.equal((await verify()).isSound, false);
    for (const [name, bytes] of sound) await tamper(store, name, () => bytes);
    assert.deepEqual([(await verify()).isSound, (await verify()).damage], [true, []]);
    const known = await listKnownDamage(repository);
    assert.deepEqual(
      known.map(({ note }) => note?.state),
      ['healed', 'healed'],
    );
  });

  it('of a sample does not count damage again that was known and costs nothing', async (test) => {
    const { repository, store, verify, contents, lineage, dataPack } = await makeWorld(test);
    await tamper(store, dataPack, flipBit(100));
    assert.equal((await verify()).isSound, false);
    await storeSmallSnapshot(repository, contents, lineage);
    assert.equal((await verify()).isSound, true);
    // Whichever packs the sample holds: none, the damaged one alone, its healed copy, or both.
    for (let seed = 1; seed <= 12; seed++)
      assert.equal((await verify({ sample: { percent: 50, seed } })).isSound, true);
  });

  it('calls damage healed that nothing needs any more, and counts what nothing needs', async (test) => {
    const { repository, store, verify } = await makeWorld(test);
    const unneeded = await storePack(repository, 'data', [randomBytes(300)]);
    await tamper(store, unneeded, flipBit(80));
    assert.deepEqual(
      (await verify()).damage.map(({ state }) => state),
      ['harmless'],
    );
    const known = await verify();
    assert.deepEqual([known.isSound, known.damage[0]?.state], [true, 'healed']);
    await store.putIfAbsent('packs/README', Buffer.from('kept by hand'));
    await store.putIfAbsent(
      `snapshots/pending/${'ab'.repeat(32)}`,
      await store.get((await namesIn(store, 'index/'))[0]!),
    );
    const { unreferenced, damage } = await verify();
    assert.equal(unreferenced?.packs, 1);
    assert.equal(unreferenced?.pendingSnapshots, 1);
    assert.deepEqual(unreferenced?.foreign, ['packs/README']);
    assert.deepEqual(
      damage.filter(({ state }) => state !== 'healed').map(({ object }) => object),
      [`snapshots/pending/${'ab'.repeat(32)}`],
    );
  });

  it('reads again what a device gave wrongly once, and calls nothing damaged', async (test) => {
    const { store, open, dataPack, treePack, fragment, verify } = await makeWorld(test);
    const index = (await namesIn(store, 'index/'))[0]!;
    for (const name of [dataPack, treePack, fragment, index]) {
      const flaky = alteringStore(store, (object, bytes, reading) =>
        object === name && reading === 1 && bytes.length > 40 ? flipBit(-20)(Buffer.from(bytes)) : bytes,
      );
      const result = await verify({ on: await open({ store: flaky }) });
      assert.ok(flaky.altered > 0, `${name} was altered once`);
      assert.deepEqual(result.damage, [], name);
      assert.equal(result.isSound, true);
    }
    assert.deepEqual([...(await listDamagedPacks(store))], []);
  });

  it('calls damaged what the disk cannot read while it reads all else, and stops when it reads nothing', async (test) => {
    const { store, open, dataPack, verify } = await makeWorld(test);
    const broken = (isBroken: (name: string) => boolean) =>
      alteringStore(store, (object, bytes) => {
        if (isBroken(object)) throw new HoldfastError('STORE_FAILED', 'could not read: the system said EIO');
        return bytes;
      });
    const result = await verify({ on: await open({ store: broken((name) => name === dataPack) }) });
    assert.deepEqual(
      result.damagedPacks.map(({ pack }) => pack),
      [dataPack],
    );
    assert.equal(result.snapshots[0]?.problems[0]?.kind, 'files');

    let isDead = false;
    const dying = await open({ store: broken((name) => isDead && (name.startsWith('packs/') || name === 'format')) });
    isDead = true;
    await assert.rejects(verify({ on: dying }), { code: 'STORE_FAILED' });
  });

  it('tells what may not be read from what is damaged, and records nothing about it', async (test) => {
    for (const which of ['dataPack', 'treePack', 'fragment'] as const) {
      const world = await makeWorld(test);
      const denied = alteringStore(world.store, (object, bytes) => {
        if (object === world[which]) throw new HoldfastError('STORE_DENIED', 'could not read: not permitted');
        return bytes;
      });
      const result = await world.verify({ on: await world.open({ store: denied }) });
      assert.deepEqual([result.isSound, result.damage.length], [false, 0], which);
      assert.deepEqual(
        result.denied.map(({ object }) => object),
        [world[which]],
      );
      assert.deepEqual([...(await namesIn(world.store, 'damage/'))], []);
      const { attestations } = await listAttestations(world.repository, world.snapshot.id);
      assert.deepEqual(attestations, []);
      assert.equal(result.snapshots[0]?.problems[0]?.kind, 'unread');
    }
  });

  it('of a sample reads the same part for the same seed, and attests nothing', async (test) => {
    const { repository, store, open, snapshot, verify } = await makeWorld(test);
    const all = await Promise.all(
      Array.from({ length: 40 }, () => storePack(repository, 'data', [randomBytes(200), randomBytes(200)])),
    );
    const read = async (seed: number) => {
      const touched: string[] = [];
      const on = alteringStore(store, (object, bytes) => {
        if (object.startsWith('packs/')) touched.push(object);
        return bytes;
      });
      const result = await verify({ on: await open({ store: on }), sample: { percent: 25, seed } });
      assert.equal(result.percent, 25);
      return new Set(touched.filter((name) => all.includes(name)));
    };
    const [one, again, other] = [await read(1), await read(1), await read(2)];
    assert.deepEqual(one, again);
    assert.notDeepEqual(one, other);
    assert.ok(one.size > 1 && one.size < 25, `${one.size} of 40`);
    assert.deepEqual((await listAttestations(repository, snapshot.id)).attestations, []);
  });

  it('ends when it is interrupted', async (test) => {
    const { verify } = await makeWorld(test);
    const reason = new HoldfastError('INTERRUPTED', 'interrupted by a test');
    await assert.rejects(verify({ signal: AbortSignal.abort(reason) }), reason);
  });
});

it('packs that no snapshot needs are read with everything, and not for one snapshot', async (test) => {
  const { repository, store, snapshot, verify } = await makeWorld(test);
  const unneeded = await storePack(repository, 'data', [randomBytes(100)]);
  await tamper(store, unneeded, flipBit(80));
  assert.equal((await verify({ snapshots: [snapshot] })).isSound, true);
  const everything = await verify();
  assert.deepEqual(
    everything.damagedPacks.map(({ pack }) => pack),
    [unneeded],
  );
  assert.deepEqual(everything.snapshots[0]?.problems, []);
});
