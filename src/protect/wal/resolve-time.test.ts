import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { filler, fillTo, LineageWriter, testSystem, transactionEnd } from '../../../test/support/wal-lineage.ts';
import { findCommit } from './find-commit.ts';
import { readWalInventory } from './inventory.ts';
import { lastRecord } from './last-record.ts';
import { receiverStatusName, writeReceiverStatus } from './receiver-status.ts';
import { resolveTime } from './resolve-time.ts';
import { scanWal } from './scan.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const LINEAGE = 'a'.repeat(64);

/** Seconds to microseconds since 1970, from an arbitrary hour on. */
const second = (seconds: number): bigint => 1_780_000_000_000_000n + BigInt(Math.round(seconds * 1_000_000));

interface Ending {
  outcome?: 'commit' | 'abort';
  xid: number;
  at: number;
}

/** A repository with one run of WAL in which these transactions end, one after the other. */
async function history(test: TestContext, endings: readonly Ending[], knownUntil?: number) {
  const made = await createRepository(test);
  const wal = new WalBuilder({ startLsn: START });
  wal.append(filler(100));
  for (const { outcome = 'commit', xid, at } of endings) {
    wal.append(filler(3000));
    wal.append(transactionEnd(outcome, xid, second(at)));
  }
  const lineage = await LineageWriter.create(made.repository);
  const end = wal.lsn + 7n - ((wal.lsn + 7n) % 8n);
  await lineage.fragment(wal, START, end);
  if (knownUntil !== undefined) {
    const name = receiverStatusName({ system: testSystem, cluster: 'main', slot: 'holdfast_main' });
    await writeReceiverStatus(made.repository, name, {
      ...{
        ...lineage.place,
        cluster: 'main',
        timeline: 1,
        receiver: '0'.repeat(16),
        running: true,
        synchronous: false,
      },
      ...{ durableLsn: end, serverFlushLsn: end, known: { until: second(knownUntil), lsn: end } },
    });
  }
  const inventory = await readWalInventory(made.repository);
  const place = { lineage: LINEAGE, timeline: 1, from: START };
  const resolve = (time: number) => resolveTime(made.repository, inventory, { ...place, time: second(time) });
  const commitOf = (xid: number) => wal.records.find((record) => record.xid === xid && record.resourceManager === 1)!;
  return { ...made, wal, end, inventory, place, resolve, commitOf };
}

describe('a time', () => {
  it('means the position before the first commit that is later', async (test) => {
    const { resolve, commitOf } = await history(test, [{ xid: 1, at: 1 }, { xid: 2, at: 2 }, { xid: 3, at: 3 }]); // biome-ignore format: a table
    const found = await resolve(2.5);
    assert.equal(found.kind, 'before-transaction');
    assert.equal(found.lsn, commitOf(3).lsn);
    assert.equal(found.lastCommit!.transaction.xid, 2);
    assert.deepEqual(found.skipped, []);
  });

  it('includes a commit of that very moment', async (test) => {
    const { resolve, commitOf } = await history(test, [{ xid: 1, at: 1 }, { xid: 2, at: 2 }, { xid: 3, at: 3 }]); // biome-ignore format: a table
    const found = await resolve(2);
    assert.ok(found.kind === 'before-transaction' && found.lsn === commitOf(3).lsn);
  });

  it('stops at the abort of a later transaction, too, as PostgreSQL does', async (test) => {
    const { resolve, commitOf } = await history(test, [{ xid: 1, at: 1 }, { xid: 2, at: 3, outcome: 'abort' }, { xid: 3, at: 4 }]); // biome-ignore format: a table
    const found = await resolve(2);
    assert.ok(found.kind === 'before-transaction' && found.lsn === commitOf(2).lsn);
  });

  it('names the commits of before it that stand behind the position', async (test) => {
    const { resolve, commitOf } = await history(test, [
      { xid: 1, at: 1 },
      { xid: 2, at: 4 },
      { xid: 3, at: 2 },
      { xid: 4, at: 5 },
      { xid: 5, at: 3 },
      { xid: 6, at: 2, outcome: 'abort' },
    ]);
    const found = await resolve(3);
    assert.ok(found.kind === 'before-transaction');
    assert.equal(found.lsn, commitOf(2).lsn);
    assert.deepEqual(
      found.skipped.map(({ transaction }) => transaction.xid),
      [3, 5],
    );
    assert.equal(found.skippedCount, 2);
  });

  it('is what is stored, to the last record, when it lies between the last commit and the last moment that is known', async (test) => {
    const { resolve, wal, end } = await history(test, [{ xid: 1, at: 1 }, { xid: 2, at: 2 }], 60); // biome-ignore format: a table
    const found = await resolve(59);
    assert.ok(found.kind === 'at-end');
    assert.deepEqual([found.lsn, found.endLsn, found.knownUntil], [wal.records.at(-1)!.lsn, end, second(60)]);
    assert.equal(found.lastCommit!.transaction.xid, 2);
  });

  it('is refused with the last moment that can be reached when it is later', async (test) => {
    const known = await history(test, [{ xid: 1, at: 1 }], 60);
    const late = await known.resolve(61);
    assert.ok(late.kind === 'too-late');
    assert.equal(late.latest, second(60));
    assert.equal(late.error.code, 'WAL_TIME_UNREACHABLE');
    const unknown = await history(test, [{ xid: 1, at: 1 }]);
    const later = await unknown.resolve(1.5);
    assert.ok(later.kind === 'too-late' && later.latest === second(1));
    assert.equal((await unknown.resolve(1)).kind, 'at-end');
    const empty = await history(test, []);
    const nothing = await empty.resolve(1);
    assert.ok(nothing.kind === 'too-late' && nothing.latest === null);
  });

  it('does not count what a receiver said of another lineage, or of WAL that is not stored', async (test) => {
    const { repository, inventory, place, end } = await history(test, [{ xid: 1, at: 1 }]);
    const status = {
      ...{
        system: testSystem,
        cluster: 'main',
        timeline: 1,
        receiver: '0'.repeat(16),
        running: true,
        synchronous: null,
      },
      ...{ durableLsn: end, serverFlushLsn: end },
    };
    const until = second(60);
    const names = ['one', 'two'].map((slot) => receiverStatusName({ system: testSystem, cluster: 'main', slot }));
    await writeReceiverStatus(repository, names[0]!, {
      ...status,
      lineage: 'b'.repeat(64),
      known: { until, lsn: end },
    });
    await writeReceiverStatus(repository, names[1]!, { ...status, lineage: LINEAGE, known: { until, lsn: end + 1n } });
    const found = await resolveTime(repository, inventory, { ...place, time: second(30) });
    assert.ok(found.kind === 'too-late' && found.latest === second(1));
  });

  it('means the same as walking the records one by one, whatever the order of the times', async (test) => {
    const ending = fc.record({
      outcome: fc.constantFrom('commit' as const, 'abort' as const),
      at: fc.integer({ min: 0, max: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(ending, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 21 }),
        async (drawn, time) => {
          const endings = drawn.map((entry, i) => ({ ...entry, xid: i + 1 }));
          const { resolve, commitOf } = await history(test, endings, 100);
          const found = await resolve(time);
          const stop = endings.find((entry) => entry.at > time);
          if (stop === undefined) assert.equal(found.kind, 'at-end');
          else assert.ok(found.kind === 'before-transaction' && found.lsn === commitOf(stop.xid).lsn);
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('records', () => {
  it('are found by the transaction that committed', async (test) => {
    const { repository, inventory, place, commitOf } = await history(test, [{ xid: 7, at: 1, outcome: 'abort' }, { xid: 8, at: 2 }]); // biome-ignore format: a table
    assert.equal((await findCommit(repository, inventory, { ...place, xid: 8 }))!.lsn, commitOf(8).lsn);
    assert.equal(await findCommit(repository, inventory, { ...place, xid: 7 }), null);
  });

  it('end with the last whole one, also when that began many segments before', async (test) => {
    const { repository } = await createRepository(test);
    const wal = new WalBuilder({ startLsn: START });
    wal.append(filler(50));
    const last = wal.append(filler(Number(3n * MIB)));
    wal.append(filler(5000));
    const lineage = await LineageWriter.create(repository);
    for (let number = START / MIB; (number + 1n) * MIB <= last.endLsn; number++) await lineage.segment(wal, number);
    const tail = last.endLsn - (last.endLsn % MIB);
    // The record behind the long one is there only in part.
    await lineage.fragment(wal, tail, last.endLsn + 2000n);
    const inventory = await readWalInventory(repository);
    const found = await lastRecord(repository, inventory, { lineage: LINEAGE, timeline: 1, from: START });
    assert.deepEqual([found!.lsn, found!.endLsn, found!.stop.reason], [last.lsn, last.endLsn, 'incomplete-record']);
  });

  it('are none when none is whole', async (test) => {
    const { repository } = await createRepository(test);
    const wal = new WalBuilder({ startLsn: START });
    wal.append(filler(9000));
    const lineage = await LineageWriter.create(repository);
    await lineage.fragment(wal, START, START + 5000n);
    const inventory = await readWalInventory(repository);
    assert.equal(await lastRecord(repository, inventory, { lineage: LINEAGE, timeline: 1, from: START }), null);
  });

  it('that cannot be read are an error, never the end', async (test) => {
    const { repository } = await createRepository(test);
    const wal = new WalBuilder({ startLsn: START });
    fillTo(wal, START + 50_000n);
    const broken = wal.bytes();
    broken[20_000]! ^= 1;
    const lineage = await LineageWriter.create(repository);
    const forged = { bytes: () => broken, startLsn: START, offset: wal.offset, timeline: 1 } as unknown as WalBuilder;
    await lineage.fragment(forged, START, START + 50_000n);
    const inventory = await readWalInventory(repository);
    const scan = scanWal(repository, inventory, { lineage: LINEAGE, timeline: 1, from: START, to: START + 50_000n });
    await assert.rejects(scan.next(), { code: 'WAL_RECORD_UNREADABLE' });
  });

  it('are told from where one asks, in the order of the WAL, across segments', async (test) => {
    const { repository } = await createRepository(test);
    const wal = new WalBuilder({ startLsn: START });
    for (let xid = 1; wal.lsn < START + 2n * MIB; xid++) {
      wal.append(filler(40_000));
      wal.append(transactionEnd('commit', xid, second(xid)));
    }
    const lineage = await LineageWriter.create(repository);
    await lineage.segment(wal, START / MIB);
    await lineage.segment(wal, START / MIB + 1n);
    const inventory = await readWalInventory(repository);
    const commits = wal.records.filter((record) => record.resourceManager === 1 && record.endLsn <= START + 2n * MIB);
    const from = commits[5]!.lsn;
    const found: bigint[] = [];
    for await (const { lsn } of scanWal(repository, inventory, {
      lineage: LINEAGE,
      timeline: 1,
      from,
      to: START + 2n * MIB,
    }))
      found.push(lsn);
    assert.deepEqual(
      found,
      commits.slice(5).map(({ lsn }) => lsn),
    );
  });
});
