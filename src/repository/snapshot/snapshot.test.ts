import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { flipBit } from '../../../test/support/bits.ts';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { attest } from '../attestation/index.ts';
import { memoryStore } from '../object-store/index.ts';
import { listForgotten, listForgottenIds, recordForgotten } from './forgotten.ts';
import { findSnapshot, listPendingIds, listSnapshots } from './snapshot-list.ts';
import { committedName, newSnapshotId, pendingName, type SnapshotRecord } from './snapshot-record.ts';
import { withdrawSnapshot } from './withdraw-snapshot.ts';
import { commitSnapshot, writePending } from './write-snapshot.ts';

function makeSnapshot(changes: Partial<SnapshotRecord> = {}): SnapshotRecord {
  return {
    version: 1,
    id: newSnapshotId(),
    kind: 'base-backup',
    cluster: 'main',
    writer: 'ab'.repeat(16),
    startedAt: '2026-03-01T10:00:00.000Z',
    completedAt: '2026-03-01T10:05:00.000Z',
    tree: { root: 'cd'.repeat(32), files: 3, bytes: 8_000_000_000_000 },
    stored: { newChunks: 2, newBytes: 1000, storedBytes: 300 },
    wal: { system: '7000000000000000001', lineage: 'ef'.repeat(32), timeline: 1, start: '0/2000028', end: '0/2000100' },
    details: { version: '18.4', tablespaces: [], nested: { a: null } },
    ...changes,
  };
}

describe('snapshots', () => {
  it('are listed once they are committed, oldest first, and not while they are pending', async (test) => {
    const { repository } = await createRepository(test);
    const [late, early, pending] = [
      makeSnapshot({ startedAt: '2026-03-03T00:00:00.000Z' }),
      makeSnapshot({ startedAt: '2026-03-02T00:00:00.000Z' }),
      makeSnapshot({ startedAt: '2026-03-01T00:00:00.000Z' }),
    ];
    for (const snapshot of [late, early, pending]) await writePending(repository, snapshot);
    for (const snapshot of [late, early]) await commitSnapshot(repository, snapshot);
    const { storedAt, ...listed } = await listSnapshots(repository);
    assert.deepEqual(listed, { snapshots: [early, late], damaged: [], replaced: [], withdrawn: new Map() });
    assert.deepEqual([...storedAt.keys()].sort(), [early.id, late.id].sort());
    assert.deepEqual((await listPendingIds(repository)).sort(), [late.id, early.id, pending.id].sort());
  });

  it('are read once by whoever recalls them, until they are forgotten', async (test) => {
    const { repository } = await createRepository(test);
    const [one, two] = [makeSnapshot(), makeSnapshot()];
    await commitSnapshot(repository, one);
    const get = test.mock.method(repository.store, 'get');
    const recall = async () => {
      get.mock.resetCalls();
      const { snapshots, storedAt } = await repository.recallSnapshots();
      assert.deepEqual([...storedAt.keys()].sort(), snapshots.map(({ id }) => id).sort());
      return { ids: snapshots.map(({ id }) => id).sort(), reads: get.mock.callCount() };
    };
    assert.deepEqual(await recall(), { ids: [one.id], reads: 1 });
    await commitSnapshot(repository, two);
    assert.deepEqual(await recall(), { ids: [one.id, two.id].sort(), reads: 1 });
    assert.deepEqual(await recall(), { ids: [one.id, two.id].sort(), reads: 0 });
    await repository.store.delete(committedName(one.id));
    assert.deepEqual(await recall(), { ids: [two.id], reads: 0 });
    get.mock.resetCalls();
    await repository.listSnapshots();
    assert.equal(get.mock.callCount(), 1, 'who lists them reads them');
  });

  it('are found by the beginning of their id', async (test) => {
    const { repository } = await createRepository(test);
    const [one, two] = [makeSnapshot({ id: `abc1${'0'.repeat(60)}` }), makeSnapshot({ id: `abc2${'0'.repeat(60)}` })];
    for (const snapshot of [one, two]) await commitSnapshot(repository, snapshot);
    assert.deepEqual(await findSnapshot(repository, 'abc1'), one);
    assert.deepEqual(await findSnapshot(repository, 'ABC2'), two);
    assert.deepEqual(await findSnapshot(repository, two.id), two);
    await assert.rejects(findSnapshot(repository, 'ab'), { code: 'SNAPSHOT_AMBIGUOUS', detail: /abc10000/ });
    for (const none of ['', 'd', 'xyz', '../', `${one.id}0`]) {
      await assert.rejects(findSnapshot(repository, none), { code: 'SNAPSHOT_ABSENT' });
    }
  });

  it('may be written again after a lost answer, but never over another one', async (test) => {
    const { repository } = await createRepository(test);
    const snapshot = makeSnapshot();
    await commitSnapshot(repository, snapshot);
    await commitSnapshot(repository, structuredClone(snapshot));
    await assert.rejects(commitSnapshot(repository, { ...snapshot, cluster: 'other' }), { code: 'SNAPSHOT_CONFLICT' });
    assert.equal((await findSnapshot(repository, snapshot.id)).cluster, 'main');
  });

  it('that are damaged, cut, renamed or of another form are named, and the others listed', async (test) => {
    const { repository, store } = await createRepository(test);
    const sound = makeSnapshot();
    await commitSnapshot(repository, sound);
    const [flipped, cut, renamed, newer, misnamed] = Array.from({ length: 5 }, newSnapshotId) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const bytes = await store.get(committedName(sound.id));
    await store.putIfAbsent(committedName(flipped), flipBit(bytes, 700));
    await store.putIfAbsent(committedName(cut), bytes.subarray(0, 80));
    await store.putIfAbsent(committedName(renamed), bytes);
    await repository.putJson('snapshot-committed', committedName(newer), { version: 2, id: newer });
    await repository.putJson('snapshot-committed', committedName(misnamed), sound);
    const { snapshots, damaged } = await listSnapshots(repository);
    assert.deepEqual(snapshots, [sound]);
    const codes = new Map(damaged.map(({ id, error }) => [id, error.code]));
    assert.deepEqual(
      [flipped, cut, renamed, newer, misnamed].map((id) => codes.get(id)),
      ['OBJECT_DAMAGED', 'OBJECT_DAMAGED', 'OBJECT_DAMAGED', 'RECORD_UNRECOGNIZED', 'RECORD_UNRECOGNIZED'],
    );
    await assert.rejects(findSnapshot(repository, flipped), { code: 'OBJECT_DAMAGED' });
  });

  it('that were only announced cannot be passed off as committed', async (test) => {
    const { repository, store } = await createRepository(test);
    const snapshot = makeSnapshot();
    await writePending(repository, snapshot);
    await store.putIfAbsent(committedName(snapshot.id), await store.get(pendingName(snapshot.id)));
    assert.equal((await listSnapshots(repository)).snapshots.length, 0);
  });

  it('that were withdrawn are not listed, found or committed any more, and one that was committed cannot be withdrawn', async (test) => {
    const { repository } = await createRepository(test);
    const [late, done] = [makeSnapshot(), makeSnapshot()];
    for (const snapshot of [late, done]) await writePending(repository, snapshot);
    await commitSnapshot(repository, done);
    assert.equal(await withdrawSnapshot(repository, late.id), 'withdrawn');
    assert.equal(await withdrawSnapshot(repository, late.id), 'withdrawn');
    assert.equal(await withdrawSnapshot(repository, done.id), 'committed');
    await assert.rejects(commitSnapshot(repository, late), { code: 'BACKUP_WITHDRAWN' });
    const { snapshots, damaged, storedAt, withdrawn } = await listSnapshots(repository);
    assert.deepEqual([snapshots, damaged], [[done], []]);
    assert.deepEqual([[...storedAt.keys()], [...withdrawn.keys()]], [[done.id], [late.id]]);
    await assert.rejects(findSnapshot(repository, late.id), { code: 'SNAPSHOT_ABSENT' });
  });

  it('that are dropped with intent are remembered by it', async (test) => {
    const { repository, store } = await createRepository(test);
    const entry = { cluster: 'main', completedAt: '2026-03-01T10:05:00.000Z', reason: 'It is old.' };
    const ids = [newSnapshotId(), newSnapshotId()];
    await recordForgotten(
      repository,
      ids.map((id) => ({ id, ...entry })),
    );
    assert.deepEqual(await listForgottenIds(repository), new Set(ids));
    await store.putIfAbsent('snapshots/forgotten/noise', Buffer.from('noise'));
    assert.equal((await listForgotten(repository)).length, 1);
  });

  it('whose committed record is damaged are read from the pending one, once a statement shows that they were committed', async (test) => {
    const { repository, store } = await createRepository(test);
    const snapshot = makeSnapshot();
    await writePending(repository, snapshot);
    await store.putIfAbsent(committedName(snapshot.id), Buffer.from('noise'));
    assert.deepEqual((await listSnapshots(repository)).snapshots, []);
    await assert.rejects(findSnapshot(repository, snapshot.id), { code: 'OBJECT_DAMAGED' });
    await attest(repository, { snapshot: snapshot.id, level: 'stored', facts: {} });
    const { snapshots, damaged, replaced } = await listSnapshots(repository);
    assert.deepEqual([snapshots, damaged], [[snapshot], []]);
    assert.deepEqual(
      replaced.map(({ name }) => name),
      [committedName(snapshot.id)],
    );
    assert.deepEqual(await findSnapshot(repository, snapshot.id), snapshot);
  });

  it('are never said to be none because the store failed', async (test) => {
    const faulty = new FaultyStore(memoryStore());
    const { repository } = await createRepository(test, { store: faulty });
    await commitSnapshot(repository, makeSnapshot());
    for (const call of ['list', 'get'] as const) {
      faulty.heal();
      faulty.plan({ kind: 'fail', call, name: 'snapshots/' });
      await assert.rejects(listSnapshots(repository), { code: 'STORE_UNAVAILABLE' });
    }
  });
});
