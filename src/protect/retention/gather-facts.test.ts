import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository, scratchFor } from '../../../test/support/memory-repository.ts';
import { noRules } from '../../../test/support/retention/facts.ts';
import { storeSmallLineage, storeSmallSnapshot } from '../../../test/support/small-snapshot.ts';
import { openLedger } from '../../ledger/index.ts';
import { attest, attestDoubt, committedName, memoryStore, placeHold, writePending } from '../../repository/index.ts';
import { applyPolicy, gatherRetentionFacts } from './index.ts';

const HOUR = 3_600_000;

async function setUp(test: TestContext) {
  const clock = new ManualClock(Date.now());
  const { repository, store } = await createRepository(test, { store: memoryStore({ clock }), clock });
  const stateDirectory = await scratchFor(test, 'state');
  const { lineage } = await storeSmallLineage(repository);
  const make = async (details = {}, of = lineage) =>
    (await storeSmallSnapshot(repository, { a: Buffer.from(`a${Math.random()}`) }, of, details)).snapshot;
  const gather = (harmed: readonly string[] = []) =>
    gatherRetentionFacts({ repository, stateDirectory, harmed: new Set(harmed) });
  return { clock, repository, store, stateDirectory, lineage, make, gather };
}

describe('what decisions are made from', () => {
  it('has of each snapshot how good it is, what speaks against it, and when the store took it first', async (test) => {
    const { clock, repository, lineage, make, gather } = await setUp(test);
    const [plain, proven, harmed, bare] = [
      await make(),
      await make({ tags: ['release', 7] }),
      await make(),
      await make(),
    ];
    const lost = await make({}, 'ef'.repeat(32));
    const statements = [
      ...[plain, proven, harmed, lost].map(({ id }) => [id, 'stored'] as const),
      [proven.id, 'proven'] as const,
    ];
    for (const [snapshot, level] of statements) await attest(repository, { snapshot, level, facts: {} });
    await attestDoubt(repository, { snapshots: [harmed.id], facts: {} });
    await clock.advance(HOUR);
    const facts = await gather([harmed.id]);
    assert.deepEqual([facts.now, facts.obstacles, [...facts.clusters.keys()]], [clock.now(), [], ['shop']]);
    const { snapshots, lineages } = facts.clusters.get('shop')!;
    const found = new Map(snapshots.map(({ id, level, doubts, tags }) => [id, [level, doubts.length, tags]]));
    assert.deepEqual(found.get(plain.id), ['stored', 0, []]);
    assert.deepEqual(found.get(proven.id), ['proven', 0, ['release']]);
    assert.deepEqual(found.get(harmed.id), ['stored', 2, []]);
    assert.deepEqual(found.get(bare.id), [null, 0, []]);
    assert.deepEqual(found.get(lost.id), ['stored', 1, []], 'its WAL is not there');
    assert.ok(snapshots.every(({ storedAt }) => storedAt === clock.now() - HOUR));
    assert.deepEqual(
      lineages.map((each) => [each.lineage, each.parent, each.newestTimeline, each.paths.size, each.gaps]),
      [[lineage, null, 1, 1, []]],
    );
  });

  it('goes by the pending record where that is older, as when a record was committed again', async (test) => {
    const { clock, repository, store, make, gather } = await setUp(test);
    const snapshot = await make();
    await writePending(repository, snapshot);
    const body = await store.get(committedName(snapshot.id));
    await clock.advance(50 * HOUR);
    await store.delete(committedName(snapshot.id));
    await store.putIfAbsent(committedName(snapshot.id), body);
    const [facts] = (await gather()).clusters.get('shop')!.snapshots;
    assert.equal(facts?.storedAt, clock.now() - 50 * HOUR);
  });

  it('leaves to nobody to forget what cannot be read or is hidden', async (test) => {
    const { repository, store, stateDirectory, make, gather } = await setUp(test);
    const [read, hidden, unreadable] = [await make(), await make(), await make()];
    await attest(repository, { snapshot: read.id, level: 'stored', facts: {} });
    const ledger = await openLedger(repository, stateDirectory);
    await ledger.append({ action: 'backup', outcome: 'done', subject: hidden.id, facts: {} });
    const scope = { kind: 'everything' as const };
    const hold = await placeHold(repository, { who: 'anna', why: 'an audit', until: null, purpose: 'legal', scope });
    assert.deepEqual((await gather()).obstacles, []);

    await store.delete(committedName(hidden.id));
    await store.delete(committedName(unreadable.id));
    await store.putIfAbsent(committedName(unreadable.id), Buffer.from('noise'));
    await store.delete(`holds/${hold}`);
    await store.putIfAbsent('holds/other', Buffer.from('noise'));
    await store.putIfAbsent('wal/7/foreign', Buffer.from('noise'));
    await store.delete(`ledger/${ledger.writer}/0000000000000001`);
    const { obstacles, clusters, holds, now } = await gather();
    assert.deepEqual(
      obstacles.map(({ code }) => code).sort(),
      // With its entry gone, nothing names the hidden snapshot any more; that the entry is gone is what is noticed.
      ['heads-regressed', 'hold-hidden', 'hold-unreadable', 'snapshot-unreadable', 'wal-unreadable'],
    );
    const decision = applyPolicy({
      ...{ cluster: 'shop', rules: noRules, now, holds, obstacles, soundAgeMax: null, accepted: new Set() },
      ...clusters.get('shop')!,
    });
    assert.equal(decision.refusal?.reasons.length, 5);
  });

  it('has the snapshot that the ledger names and the store does not show', async (test) => {
    const { repository, store, stateDirectory, make, gather } = await setUp(test);
    const snapshot = await make();
    const ledger = await openLedger(repository, stateDirectory);
    await ledger.append({ action: 'backup', outcome: 'done', subject: snapshot.id, facts: {} });
    await store.delete(committedName(snapshot.id));
    assert.deepEqual(
      (await gather()).obstacles.map(({ code }) => code),
      ['snapshot-hidden'],
    );
  });
});
