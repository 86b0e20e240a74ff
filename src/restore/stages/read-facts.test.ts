import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { LineageWriter, testSystem } from '../../../test/support/wal-lineage.ts';
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
