import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter, testSystem } from '../../../test/support/wal-lineage.ts';
import { systemClock } from '../../lib/index.ts';
import { findContenders, readWalInventory } from '../../protect/wal/index.ts';
import { receiverStatusName, writeReceiverStatus } from '../../protect/wal/receiver-status.ts';
import { commitSnapshot, newSnapshotId } from '../../repository/index.ts';
import { readFacts } from './read-facts.ts';

const START = 0x1_0000_0000n;

/** A cluster that was set back once: a lineage, its child, and a snapshot of the former. */
async function makeForked(test: TestContext) {
  const { repository, store } = await createRepository(test);
  const parent = await LineageWriter.create(repository, { id: 'a' });
  const fork = { lineage: parent.place.lineage, forkTimeline: 1, forkLsn: START + 0x1000n } as const;
  const child = await LineageWriter.create(repository, { id: 'b', parent: { ...fork, reason: 'bytes-differ' } });
  await commitSnapshot(repository, {
    ...{ version: 1, id: newSnapshotId(), kind: 'base-backup', cluster: 'main', writer: 'ab'.repeat(16) },
    ...{ startedAt: '2026-03-01T10:00:00.000Z', completedAt: '2026-03-01T10:05:00.000Z' },
    tree: { root: 'cd'.repeat(32), files: 3, bytes: 8000 },
    stored: { newChunks: 2, newBytes: 1000, storedBytes: 300 },
    wal: { system: testSystem, lineage: parent.place.lineage, timeline: 1, start: '1/28', end: '1/100' },
    details: { serverVersion: '18.4' },
  });
  return { repository, store, parent, child };
}

it('the present history is the one that was not left', async (test) => {
  const { repository, child } = await makeForked(test);
  const { route, otherRoutes } = await readFacts({ repository });
  assert.equal(route.lineage.lineage, child.place.lineage);
  assert.equal(otherRoutes.length, 1);
});

it('no history passes for the present one while a lineage cannot be read, but each can be named', async (test) => {
  const { repository, store, parent, child } = await makeForked(test);
  const objectName = `wal/${testSystem}/${child.place.lineage}/lineage`;
  const bytes = await store.get(objectName);
  await store.delete(objectName);
  await store.putIfAbsent(objectName, bytes.subarray(0, bytes.length - 1));
  await assert.rejects(readFacts({ repository }), (error: { code: string; detail: string; hints: string[] }) => {
    assert.equal(error.code, 'RESTORE_HISTORY_UNREADABLE');
    assert.match(error.detail, new RegExp(objectName));
    assert.match(error.hints.join(), /--lineage aaaaaaaaaaaa/);
    return true;
  });
  const { route } = await readFacts({ repository, lineage: 'aaaa' });
  assert.equal(route.lineage.lineage, parent.place.lineage);
});

/** As above; the server that was left goes on after its successor, both in WAL of their own. */
async function makeTwoThatWentOn(test: TestContext) {
  const forked = await makeForked(test);
  const [wal, later] = [new WalBuilder({ startLsn: START }), START + 0x2000n];
  fillTo(wal, START + 0x6000n);
  await forked.parent.fragment(wal, START, later);
  await systemClock.sleep(2);
  await forked.child.fragment(wal, START, later);
  return { ...forked, goOn: () => forked.parent.fragment(wal, later, START + 0x4000n) };
}

it('a server that is left and stops is no present one', async (test) => {
  const { repository, child } = await makeTwoThatWentOn(test);
  // What the parent has was stored after the child's first object, as the test made it; in the end it stood still.
  const { lineages } = await readWalInventory(repository);
  const still = lineages.map((one) => (one.lineage === child.place.lineage ? one : { ...one, grewAt: one.storedAt }));
  assert.deepEqual(
    findContenders({ lineages: still, damaged: [] }, testSystem, 'main').map(({ lineage }) => lineage),
    [child.place.lineage],
  );
});

it('of two servers that went on, the one that a receiver follows is the present one; without a receiver it must be named', async (test) => {
  const { repository, parent, child, goOn } = await makeTwoThatWentOn(test);
  await systemClock.sleep(2);
  await goOn();
  await assert.rejects(readFacts({ repository }), (error: { code: string; detail: string; hints: string[] }) => {
    assert.equal(error.code, 'RESTORE_LINEAGE_AMBIGUOUS');
    assert.match(
      error.detail,
      /Lineage aaaaaaaaaaaa has WAL up to 1\/4000 on timeline 1, .*; lineage bbbbbbbbbbbb has/,
    );
    return true;
  });
  assert.equal((await readFacts({ repository, lineage: 'bbbb' })).route.lineage.lineage, child.place.lineage);
  for (const { place } of [parent, child]) {
    await writeReceiverStatus(
      repository,
      receiverStatusName({ system: testSystem, cluster: 'main', slot: place.lineage }),
      {
        ...{ system: testSystem, cluster: 'main', lineage: place.lineage, timeline: 1, receiver: '0'.repeat(16) },
        ...{ running: false, durableLsn: START, serverFlushLsn: START, known: null, synchronous: null },
      },
    );
    assert.equal((await readFacts({ repository })).route.lineage.lineage, place.lineage);
    await systemClock.sleep(2);
  }
});
