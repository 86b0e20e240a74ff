import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { cuttablePlace, objectsOf } from '../../../test/support/several-places.ts';
import { stopStoreAt } from '../../../test/support/stopping-store.ts';
import { storeWith } from '../../../test/support/store-with.ts';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { memoryStore, type ObjectStore } from '../object-store/index.ts';
import { compareCopies } from './compare-copies.ts';
import { openCopiedStore } from './copied-store.ts';
import { proposeSync, syncCopy } from './sync-copy.ts';
import { WRITE_STEPS, writeStepOf } from './write-order.ts';

const id = (n: number) => n.toString(16).padStart(64, '0');
const lineage = `wal/7123/${id(7)}`;

/** Two objects of each kind, put in an order that no writer would choose. */
const NAMES = [
  ...[1, 2].flatMap((n) => [
    `ledger/${id(9).slice(32)}/${String(n).padStart(16, '0')}`,
    `attest/${id(n)}/${id(n)}`,
    `runs/r/${n}`,
    `snapshots/committed/${id(n)}`,
    `snapshots/pending/${id(n)}`,
    `index/${id(n)}`,
    `packs/${id(n)}`,
    `${lineage}/landmarks/00000002000000000000000${n}`,
    `${lineage}/landmarks/00000002000000000000000${n}.level1`,
    `${lineage}/segments/00000002000000000000000${n}`,
    `${lineage}/fragments/00000002.000000000000000${n}.000000000000000${n + 1}.${id(1).slice(48)}`,
    `${lineage}/history/0000000${n + 1}.history`,
    `damage/${id(n)}`,
    `tombstones/${id(n)}`,
    `snapshots/forgotten/${id(n)}`,
    `later-kind/${n}`,
  ]),
  `${lineage}/lineage`,
];

async function fill(store: ObjectStore): Promise<void> {
  for (const name of NAMES) await store.putIfAbsent(name, randomBytes(200));
}

function orderOf(calls: readonly string[]): string[] {
  return calls.filter((call) => call.startsWith('put')).map((call) => call.split(' ')[1]!);
}

describe('catching up', () => {
  it('brings everything, in the order in which a copy is whole at every moment', async (test) => {
    const { store } = await createRepository(test);
    await fill(store);
    const copy = cuttablePlace('copy');
    const result = await syncCopy({ from: store, to: copy, clock: systemClock });
    assert.deepEqual(await objectsOf(copy.inner), await objectsOf(store));
    const steps = orderOf(copy.calls).map((name) => WRITE_STEPS.indexOf(writeStepOf(name)!));
    assert.deepEqual(
      steps,
      steps.toSorted((a, b) => a - b),
    );
    assert.equal(result.objects, (await objectsOf(store)).size);
    const again = await syncCopy({ from: store, to: copy, clock: systemClock });
    assert.deepEqual(again, { objects: 0, bytes: 0, differing: [] });
  });

  it('goes on from wherever it was stopped, and has what a step needs at every stop', async (test) => {
    const { store } = await createRepository(test);
    await fill(store);
    const inner = memoryStore();
    for (let stopAt = 1; ; stopAt += 7) {
      const stopping = stopStoreAt(
        inner,
        stopAt > 40 ? Number.POSITIVE_INFINITY : 7,
        stopAt % 2 === 0 ? 'before' : 'after',
      );
      const to = { name: 'copy', store: stopping.store, required: false };
      const done = await syncCopy({ from: store, to, clock: systemClock, lanes: 3 }).catch(() => null);
      const there = [...(await objectsOf(inner)).keys()].map((name) => writeStepOf(name)!);
      const reached = Math.max(-1, ...there.map((step) => WRITE_STEPS.indexOf(step)));
      for (const name of (await objectsOf(store)).keys()) {
        if (WRITE_STEPS.indexOf(writeStepOf(name)!) < reached)
          assert.ok(await inner.stat(name), `${name} at ${stopAt}`);
      }
      if (done !== null) break;
    }
    assert.deepEqual(await objectsOf(inner), await objectsOf(store));
  });

  it('comes to its end by several passes when there are more names than are kept at once', async (test) => {
    const { store } = await createRepository(test);
    await fill(store);
    const copy = cuttablePlace('copy');
    const whole = await proposeSync({ from: store, to: copy, namesMax: 1000 });
    assert.equal(whole.cutAt, null);
    const part = await proposeSync({ from: store, to: copy, namesMax: 4 });
    assert.ok([...part.missing.values()].flat().length <= 4 && part.cutAt !== null);
    await syncCopy({ from: store, to: copy, clock: systemClock, namesMax: 4 });
    assert.deepEqual(await objectsOf(copy.inner), await objectsOf(store));
    const steps = orderOf(copy.calls).map((name) => WRITE_STEPS.indexOf(writeStepOf(name)!));
    assert.deepEqual(
      steps,
      steps.toSorted((a, b) => a - b),
    );
  });

  it('lists what needs others before what it needs, also while others write', async (test) => {
    const { store } = await createRepository(test);
    const copy = cuttablePlace('copy');
    let n = 100;
    // Whoever lists sees a backup come to its end between two listings.
    const busy = storeWith(store, {
      async *list(...given) {
        n += 1;
        for (const kind of ['packs', 'index', 'snapshots/committed'])
          await store.putIfAbsent(`${kind}/${id(n)}`, randomBytes(9));
        yield* store.list(...given);
      },
    });
    const proposal = await proposeSync({ from: busy, to: copy });
    const names = new Set([...proposal.missing.values()].flat().map(({ name }) => name));
    for (const name of names) {
      const needed = name.replace('snapshots/committed', 'index');
      assert.ok((names.has(needed) && names.has(needed.replace('index', 'packs'))) || !/[0-9a-f]{64}/.test(name), name);
    }
  });

  it('copes with objects that go while it is under way', async (test) => {
    const { store } = await createRepository(test);
    await fill(store);
    const copy = cuttablePlace('copy');
    const fading = storeWith(store, {
      get: async (name) => {
        if (name.includes('/fragments/')) await store.delete(name);
        return store.get(name);
      },
    });
    await syncCopy({ from: fading, to: copy, clock: systemClock });
    assert.deepEqual(await objectsOf(copy.inner), await objectsOf(store));
  });

  it('keeps to a rate', async (test) => {
    const { store } = await createRepository(test);
    await store.putIfAbsent('packs/a', randomBytes(6_000_000));
    const begun = systemClock.monotonic();
    await syncCopy({ from: store, to: cuttablePlace('copy'), clock: systemClock, bytesPerSecond: 10_000_000 });
    // The second part of 2 MB waits until the first one of 4 MiB has had its time.
    assert.ok(systemClock.monotonic() - begun >= 200);
  });

  it('refuses a place of another repository before anything is written there', async (test) => {
    const [one, other] = [await createRepository(test), await createRepository(test)];
    const before = await objectsOf(other.store);
    const to = { name: 'other', store: other.store, required: false };
    await assert.rejects(syncCopy({ from: one.store, to, clock: systemClock }), { code: 'REPOSITORY_COPY_FOREIGN' });
    assert.deepEqual(await objectsOf(other.store), before);
    await assert.rejects(syncCopy({ from: memoryStore(), to, clock: systemClock }), { code: 'REPOSITORY_ABSENT' });
  });
});

describe('a copy that is the primary by another name', () => {
  it('is refused by whoever brings, compares or begins to write, and nothing stays there', async (test) => {
    const { store } = await createRepository(test);
    const before = await objectsOf(store);
    const refused = {
      code: 'REPOSITORY_COPY_SAME',
      message: /^cannot use copy "twin" in .+: it is the primary itself$/,
    };
    const twin = cuttablePlace('twin', { inner: store });
    await assert.rejects(syncCopy({ from: store, to: twin, clock: systemClock }), refused);
    await assert.rejects(compareCopies({ primary: store, copy: twin }), refused);
    const common = { primary: store, clock: systemClock, access: 'write', scratchDirectory: tmpdir() } as const;
    // The credentials of the copy allow nothing but reading.
    const denied = async (): Promise<never> => {
      throw new HoldfastError('STORE_DENIED', 'could not write');
    };
    const readOnly = { ...twin, store: storeWith(store, { putIfAbsent: denied }) };
    await assert.rejects(compareCopies({ primary: store, copy: readOnly }), refused);
    const required = openCopiedStore({ ...common, copies: [{ ...readOnly, required: true }] });
    test.after(() => required.close());
    await assert.rejects(required.untilCopied(['format']), refused);
    const late = openCopiedStore({ ...common, copies: [readOnly] });
    test.after(() => late.close());
    await late.settled();
    assert.deepEqual(
      late.copyStates.map(({ state, error }) => [state, error?.code]),
      [['foreign', refused.code]],
    );
    const several = openCopiedStore({ ...common, copies: [twin] });
    test.after(() => several.close());
    await assert.rejects(several.checkCopies(), refused);
    assert.deepEqual(await objectsOf(store), before);
  });

  it('is told from a copy of the same moment', async (test) => {
    const clock = new ManualClock(Date.now());
    const { store } = await createRepository(test, { clock });
    const copy = cuttablePlace('copy', { inner: memoryStore({ clock }) });
    await syncCopy({ from: store, to: copy, clock: systemClock });
    await syncCopy({ from: store, to: copy, clock: systemClock });
    assert.equal((await store.stat('format'))!.modifiedAt, (await copy.inner.stat('format'))!.modifiedAt);
    assert.deepEqual(await objectsOf(copy.inner), await objectsOf(store));
  });
});

describe('a comparison', () => {
  it('tells what is missing, what differs, what only the copy has, and the lag', async (test) => {
    const { store } = await createRepository(test);
    await fill(store);
    const copy = cuttablePlace('copy');
    await syncCopy({ from: store, to: copy, clock: systemClock });
    const clean = await compareCopies({ primary: store, copy });
    assert.equal(clean.missing.objects + clean.extra.objects + clean.differing.objects + clean.lagMs, 0);
    await copy.inner.delete(`packs/${id(1)}`);
    await copy.inner.delete(`index/${id(1)}`);
    await copy.inner.putIfAbsent(`index/${id(1)}`, Buffer.from('another size'));
    await copy.inner.delete(`index/${id(2)}`);
    await copy.inner.putIfAbsent(`index/${id(2)}`, randomBytes(200));
    await store.delete(`${lineage}/segments/000000020000000000000001`);
    const found = await compareCopies({ primary: store, copy });
    assert.deepEqual(found.missing.names, [`packs/${id(1)}`]);
    assert.equal(found.oldestMissingAt, (await store.stat(`packs/${id(1)}`))?.modifiedAt);
    assert.deepEqual(found.extra.names, [`${lineage}/segments/000000020000000000000001`]);
    assert.deepEqual(found.differing.names, [`index/${id(1)}`]);
    const deep = await compareCopies({ primary: store, copy, deep: true });
    assert.deepEqual(deep.differing.names, [`index/${id(1)}`, `index/${id(2)}`]);
  });
});
