import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../../test/support/wal-lineage.ts';
import { systemClock } from '../../lib/index.ts';
import { currentLineage, describeContinuity } from './continuity.ts';
import { findLineage, readWalInventory } from './inventory.ts';
import { decodeLineageHeader, encodeLineageHeader, type LineageHeader } from './lineage.ts';
import { openLineage } from './receiver/index.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;

const beginning = { system: '7', cluster: 'main', segmentBytes: Number(MIB), startTimeline: 1, startLsn: START };

function makeWal(): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, START + 4n * MIB);
  return wal;
}

describe('the inventory of WAL', () => {
  it('shows lineages, timelines, histories, and runs with the gaps between them', async (test) => {
    const { repository } = await createRepository(test);
    const wal = makeWal();
    const lineage = await LineageWriter.create(repository);
    await lineage.segment(wal, START / MIB);
    await lineage.fragment(wal, START + MIB, START + MIB + 500n);
    await lineage.fragment(wal, START + 2n * MIB, START + 2n * MIB + 500n);
    await lineage.history(2, [{ timeline: 1, switchLsn: START + 3n * MIB, reason: 'x' }]);
    await LineageWriter.create(repository, { id: 'b', system: '8' });
    const { lineages, damaged } = await readWalInventory(repository);
    assert.deepEqual(damaged, []);
    assert.deepEqual(lineages.map(({ system }) => system).sort(), ['7', '8']);
    const own = findLineage(await readWalInventory(repository, '7'), 'a'.repeat(64));
    assert.deepEqual(own.histories.get(2), [{ timeline: 1, switchLsn: START + 3n * MIB, reason: 'x' }]);
    assert.deepEqual(describeContinuity(own), {
      timeline: 2,
      runs: [
        { start: START, end: START + MIB + 500n },
        { start: START + 2n * MIB, end: START + 2n * MIB + 500n },
      ],
      gaps: [{ start: START + MIB + 500n, end: START + 2n * MIB }],
    });
  });

  it('reads the second copy of a lineage whose head names a version or an epoch of keys that nobody has', async (test) => {
    for (const [byte, code] of [
      [4, 'OBJECT_NEWER'],
      [8, 'KEY_EPOCH_ABSENT'],
    ] as const) {
      const { repository, store } = await createRepository(test);
      const { lineage } = (await openLineage(repository, { ...beginning }, systemClock)).lineage;
      const objectName = `wal/7/${lineage}/lineage`;
      const sealed = await store.get(objectName);
      sealed[byte]! ^= 4;
      await store.delete(objectName);
      await store.putIfAbsent(objectName, sealed);
      const { lineages, damaged, replaced = [] } = await readWalInventory(repository);
      assert.deepEqual(
        lineages.map((each) => each.lineage),
        [lineage],
      );
      assert.deepEqual(damaged, []);
      assert.deepEqual(
        replaced.map((each) => [each.objectName, each.error.code]),
        [[objectName, code]],
      );
      assert.match(replaced[0]!.error.message, /object "wal\/7\//, 'the object is named');
    }
  });

  it('names what is damaged or foreign, and shows the rest', async (test) => {
    const { repository, store } = await createRepository(test);
    const lineage = await LineageWriter.create(repository);
    await LineageWriter.create(repository, { id: 'b' });
    const history = await lineage.history(3, [{ timeline: 1, switchLsn: START, reason: '' }]);
    for (const objectName of [history, `wal/7/${'b'.repeat(64)}/lineage`]) {
      const sealed = await store.get(objectName);
      sealed[70]! ^= 1;
      await store.delete(objectName);
      await store.putIfAbsent(objectName, sealed);
    }
    const foreign = [`wal/7/${'a'.repeat(64)}/segments/00000001000000010000FFFF`, 'wal/7/notes.txt'];
    for (const name of foreign) await store.putIfAbsent(name, Buffer.from('x'));
    const { lineages, damaged } = await readWalInventory(repository);
    assert.deepEqual(
      lineages.map((found) => found.lineage),
      ['a'.repeat(64)],
    );
    assert.equal(lineages[0]!.histories.has(3), false);
    const told = Object.fromEntries(damaged.map(({ objectName, error }) => [objectName, error.code]));
    assert.deepEqual(told, {
      [foreign[0]!]: 'WAL_OBJECT_FOREIGN',
      [foreign[1]!]: 'WAL_OBJECT_FOREIGN',
      [history]: 'OBJECT_DAMAGED',
      [`wal/7/${'b'.repeat(64)}/lineage`]: 'OBJECT_DAMAGED',
    });
  });

  it('is an error, never empty, when the store cannot be listed or read', async (test) => {
    const made = await createRepository(test);
    await LineageWriter.create(made.repository);
    const store = new FaultyStore(made.store);
    const repository = await made.open({ store });
    for (const call of ['list', 'get'] as const) {
      store.heal();
      store.plan({ kind: 'fail', call, nth: 1 });
      await assert.rejects(readWalInventory(repository), { code: 'STORE_UNAVAILABLE' }, call);
    }
  });

  it('is empty in a repository without WAL', async (test) => {
    const { repository } = await createRepository(test);
    assert.deepEqual(await readWalInventory(repository), { lineages: [], damaged: [] });
  });
});

describe('the lineage to go on with', () => {
  it('is the one that was not left for another', async (test) => {
    const { repository } = await createRepository(test);
    const wal = makeWal();
    const first = await LineageWriter.create(repository);
    await first.segment(wal, START / MIB);
    const parent = { lineage: 'a'.repeat(64), forkTimeline: 1, forkLsn: START + 5n, reason: 'bytes-differ' as const };
    await LineageWriter.create(repository, { id: 'b', parent });
    await LineageWriter.create(repository, { id: 'c', cluster: 'other' });
    const inventory = await readWalInventory(repository);
    assert.equal(currentLineage(inventory, '7', 'main')?.lineage, 'b'.repeat(64));
    assert.equal(currentLineage(inventory, '7', 'other')?.lineage, 'c'.repeat(64));
    assert.equal(currentLineage(inventory, '8', 'main'), null);
  });

  it('is the first one in the time of the store when two receivers began at once, until one holds WAL', async (test) => {
    const clock = new ManualClock();
    const { repository } = await createRepository(test, { clock });
    await LineageWriter.create(repository, { id: 'c' });
    await clock.advance(5);
    const second = await LineageWriter.create(repository, { id: 'b' });
    assert.equal(currentLineage(await readWalInventory(repository), '7', 'main')?.lineage, 'c'.repeat(64));
    await second.fragment(makeWal(), START, START + 10n);
    assert.equal(currentLineage(await readWalInventory(repository), '7', 'main')?.lineage, 'b'.repeat(64));
  });
});

describe('the first object of a lineage', () => {
  const header: LineageHeader = {
    lineage: 'a'.repeat(64),
    system: '7711238034387564599',
    cluster: 'main',
    createdAt: '2026-11-23T05:41:55.126Z',
    segmentBytes: 16 * 1024 * 1024,
    startTimeline: 3,
    startLsn: 0x1600_0000n,
    parent: { lineage: 'b'.repeat(64), forkTimeline: 2, forkLsn: 0x1_0000_1234n, reason: 'older-timeline' },
  };

  it('is JSON as the design says, and read back as it was', () => {
    const encoded = encodeLineageHeader(header);
    assert.deepEqual(JSON.parse(JSON.stringify(encoded)), {
      ...{ version: 1, lineage: header.lineage, system: header.system, cluster: 'main', createdAt: header.createdAt },
      ...{ segmentSize: 16777216, startTimeline: 3, startLsn: '0/16000000' },
      parent: { lineage: 'b'.repeat(64), forkTimeline: 2, forkLsn: '1/1234', reason: 'older-timeline' },
    });
    assert.deepEqual(decodeLineageHeader(encoded, 'x'), header);
    const root = { ...header, parent: null };
    assert.deepEqual(decodeLineageHeader(encodeLineageHeader(root), 'x'), root);
  });

  it('is refused by name when it is newer or not valid', () => {
    const encoded = encodeLineageHeader(header);
    assert.throws(() => decodeLineageHeader({ ...encoded, version: 2 }, 'x'), { code: 'WAL_LINEAGE_NEWER' });
    for (const wrong of [
      { segmentSize: 5 },
      { startLsn: '16000000' },
      { lineage: 'a' },
      { parent: {} },
      { startTimeline: 0 },
    ]) {
      assert.throws(() => decodeLineageHeader({ ...encoded, ...wrong }, 'x'), { code: 'WAL_LINEAGE_INVALID' });
    }
  });
});
