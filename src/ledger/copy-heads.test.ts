import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FaultyStore } from '../../test/support/faulty-store.ts';
import { createRepository, scratchFor } from '../../test/support/memory-repository.ts';
import { commitSnapshot, committedName, memoryStore, newSnapshotId, type ObjectStore } from '../repository/index.ts';
import { acknowledgeRegressions } from './acknowledge.ts';
import { findLostByCopies, findLostByPrimary } from './copy-heads.ts';
import { entryName } from './entry.ts';
import { findHiddenSnapshots } from './hidden-snapshots.ts';
import { openLedger } from './ledger.ts';
import { verifyLedger } from './verify-ledger.ts';

const event = { action: 'backup', outcome: 'done', subject: 'ab'.repeat(32), facts: {} } as const;

/** A repository with a copy, two writers with three entries each, all of them in both places. */
async function makeWorld(test: TestContext) {
  const primary = memoryStore();
  const copy = new FaultyStore(memoryStore());
  const places = [
    { name: 'primary', store: primary, required: true },
    { name: 'far', store: copy, required: false },
  ];
  const { repository } = await createRepository(test, { store: Object.assign(primary, { places }) });
  const [state, other, fresh] = await Promise.all(['a', 'b', 'c'].map((name) => scratchFor(test, name)));
  const writers = [];
  for (const directory of [state!, other!]) {
    const ledger = await openLedger(repository, directory);
    for (let i = 0; i < 3; i++) await ledger.append(event);
    writers.push(ledger.writer);
  }
  const [writer, otherWriter] = writers as [string, string];
  const catchUp = async () => {
    for await (const { name } of primary.list('ledger/')) await copy.putIfAbsent(name, await primary.get(name));
  };
  await catchUp();
  return { repository, primary, copy, state: state!, fresh: fresh!, writer, otherWriter, catchUp };
}

/** Puts a store back to what it was before the last entries. */
async function rollBack(store: ObjectStore, writer: string, from: number): Promise<void> {
  for (let seq = from; seq <= 3; seq++) await store.delete(entryName(writer, seq));
}

describe('a primary that was put back', () => {
  it('is noticed by a host that knows nothing, as a copy has what the primary lost, and takes no more entries', async (test) => {
    const { repository, primary, copy, fresh, writer } = await makeWorld(test);
    assert.deepEqual(await findLostByPrimary(repository, fresh), []);
    await rollBack(primary, writer, 2);
    const [lost] = await findLostByPrimary(repository, fresh);
    assert.deepEqual(
      [lost?.writer, lost?.remembered?.seq, lost?.found, lost?.knownBy],
      [writer, 3, 'gone', 'copy "far"'],
    );
    await assert.rejects(openLedger(repository, fresh), {
      code: 'LEDGER_HEAD_REGRESSED',
      detail: /as copy "far" shows/,
    });
    // A copy of another repository has another ledger, and nothing that this one has lost.
    await copy.putIfAbsent('format', Buffer.from('of another one'));
    assert.deepEqual(await findLostByPrimary(repository, fresh), []);
    await copy.delete('format');
    const report = await verifyLedger(repository, fresh);
    assert.deepEqual(
      report.problems.map(({ problem }) => problem),
      ['regressed'],
    );
  });

  it('goes on after somebody acknowledged it, although the copy keeps what was lost', async (test) => {
    const { repository, primary, fresh, writer, otherWriter } = await makeWorld(test);
    await rollBack(primary, writer, 3);
    await rollBack(primary, otherWriter, 1);
    const acknowledged = await acknowledgeRegressions(repository, fresh);
    assert.deepEqual(new Set(acknowledged.map((each) => each.writer)), new Set([writer, otherWriter]));
    assert.deepEqual(await findLostByPrimary(repository, fresh), []);
    await (await openLedger(repository, fresh)).append(event);
    assert.deepEqual(await acknowledgeRegressions(repository, fresh), []);
  });

  it('is noticed, too, where an entry was replaced by another one', async (test) => {
    const { repository, primary, fresh, writer } = await makeWorld(test);
    const name = entryName(writer, 3);
    const bytes = await primary.get(entryName(writer, 2));
    await primary.delete(name);
    await primary.putIfAbsent(name, bytes);
    assert.equal((await findLostByPrimary(repository, fresh))[0]?.found, 'different');
  });

  it('is no matter of a copy that is away, or of one that is behind', async (test) => {
    const { repository, copy, fresh, writer } = await makeWorld(test);
    await rollBack(copy, writer, 2);
    assert.deepEqual(await findLostByPrimary(repository, fresh), []);
    copy.plan({ kind: 'fail', call: 'list', name: 'ledger/' });
    assert.deepEqual(await findLostByPrimary(repository, fresh), []);
    await openLedger(repository, fresh);
  });
});

describe('a copy that was put back', () => {
  it('is noticed by a host that has seen it, until it has caught up', async (test) => {
    const { repository, copy, fresh, writer, catchUp } = await makeWorld(test);
    await openLedger(repository, fresh);
    assert.deepEqual(await findLostByCopies(repository, fresh), []);
    await rollBack(copy, writer, 2);
    const [lost] = await findLostByCopies(repository, fresh);
    assert.deepEqual([lost?.place, lost?.writer, lost?.remembered?.seq, lost?.found], ['far', writer, 3, 'gone']);
    assert.equal((await findLostByCopies(repository, fresh)).length, 1);
    await openLedger(repository, fresh);
    await catchUp();
    assert.deepEqual(await findLostByCopies(repository, fresh), []);
  });

  it('is passed over while it does not answer, whatever it is asked', async (test) => {
    const { repository, copy, fresh, writer } = await makeWorld(test);
    await openLedger(repository, fresh);
    await rollBack(copy, writer, 2);
    copy.plan({ kind: 'fail', call: 'get', name: 'ledger/' });
    assert.deepEqual(await findLostByCopies(repository, fresh), []);
    copy.heal();
    copy.plan({ kind: 'fail', call: 'any' });
    assert.deepEqual(await findLostByCopies(repository, fresh), []);
    copy.heal();
    assert.equal((await findLostByCopies(repository, fresh)).length, 1);
  });

  it('is asked for the remembered heads alone', async (test) => {
    const { repository, copy, fresh } = await makeWorld(test);
    await openLedger(repository, fresh);
    copy.calls.length = 0;
    await findLostByCopies(repository, fresh);
    assert.deepEqual(
      copy.calls.map((call) => call.split(' ')[0]),
      ['get', 'get'],
    );
  });
});

describe('the newest snapshot of a writer', () => {
  it('is missed when the ledger has its backup and the store does not list it', async (test) => {
    const { repository, primary, state } = await makeWorld(test);
    const id = newSnapshotId();
    const at = new Date().toISOString();
    await commitSnapshot(repository, {
      ...{
        version: 1,
        id,
        kind: 'base-backup',
        cluster: 'shop',
        writer: '00'.repeat(16),
        startedAt: at,
        completedAt: at,
      },
      tree: { root: '11'.repeat(32), files: 0, bytes: 0 },
      stored: { newChunks: 0, newBytes: 0, storedBytes: 0 },
      wal: { system: '1', lineage: '22'.repeat(32), timeline: 1, start: '0/0', end: '0/1' },
      details: {},
    });
    const ledger = await openLedger(repository, state);
    await ledger.append({ ...event, subject: id });
    await ledger.append({ ...event, action: 'verify', subject: id });
    const ofOthers = (await findHiddenSnapshots(repository)).filter(({ writer }) => writer !== ledger.writer);
    assert.deepEqual(
      ofOthers.map(({ snapshot }) => snapshot),
      [event.subject],
    );
    await primary.delete(committedName(id));
    const hidden = await findHiddenSnapshots(repository);
    assert.deepEqual(hidden.find(({ writer }) => writer === ledger.writer)?.snapshot, id);
  });
});
