import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter, transactionEnd } from '../../../test/support/wal-lineage.ts';
import { formatLsn } from '../../postgres/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';
import { costOfGap, describeGapCost } from './gap-cost.ts';
import { readWalInventory } from './inventory.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;
const MINUTE = 60_000;
const NOON = Date.UTC(2026, 10, 23, 12);

function snapshot(name: string, lineage: string, from: number, to: number, completedAt: number): SnapshotRecord {
  const at = (segments: number) => formatLsn(START + BigInt(Math.round(segments * Number(MIB))));
  return {
    ...{ id: name.repeat(64), completedAt: new Date(completedAt).toISOString() },
    wal: { system: '7', lineage, timeline: 1, start: at(from), end: at(to) },
  } as SnapshotRecord;
}

/** A commit at noon in the first segment; the second is missing; the third is there. */
async function makeGap(test: TestContext, ...snapshots: [string, number, number, number][]) {
  const { repository } = await createRepository(test);
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, START + MIB / 2n);
  wal.append(transactionEnd('commit', 7, BigInt(NOON) * 1000n));
  fillTo(wal, START + 3n * MIB);
  const writer = await LineageWriter.create(repository);
  for (const number of [FIRST, FIRST + 2n]) await writer.segment(wal, number);
  const inventory = await readWalInventory(repository);
  const lineage = inventory.lineages[0]!;
  const gap = { start: START + MIB, end: START + 2n * MIB };
  const records = snapshots.map(([name, from, to, at]) => snapshot(name, lineage.lineage, from, to, at));
  return costOfGap(repository, inventory, lineage, gap, records);
}

describe('a gap in the WAL', () => {
  it('costs all from the last commit before it on, as long as no base backup was begun behind it', async (test) => {
    const cost = await makeGap(test, ['a', 0.2, 0.3, NOON - MINUTE]);
    assert.deepEqual([cost.snapshots, cost.restorableFrom, cost.fromTime, cost.toTime], [[], null, NOON, null]);
    assert.match(
      describeGapCost(cost, NOON + 30 * MINUTE),
      /No moment after .*12:00:00.* can be restored \(30 min\), until a new base backup/,
    );
  });

  it('ends with the next base backup that was begun behind it, and takes those whose own WAL it holds', async (test) => {
    const cost = await makeGap(
      test,
      ['a', 0.5, 1.5, NOON + MINUTE],
      ['b', 2.2, 2.4, NOON + 5 * MINUTE],
      ['c', 2.6, 2.8, NOON + 9 * MINUTE],
    );
    assert.deepEqual(cost.snapshots, ['a'.repeat(64)]);
    assert.equal(cost.toTime, NOON + 5 * MINUTE);
    const text = describeGapCost(cost, NOON + 60 * MINUTE);
    assert.match(
      text,
      /and before .*12:05:00.* \(5 min\) can be restored\. 1 snapshot cannot be restored at all: aaaaaaaaaaaa/,
    );
  });
});
