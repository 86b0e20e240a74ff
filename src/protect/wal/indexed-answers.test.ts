import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { joinSegments } from '../../../test/support/indexed-wal.ts';
import { createRepository, type TestRepository } from '../../../test/support/memory-repository.ts';
import { type RecordParts, WalBuilder } from '../../../test/support/wal-builder.ts';
import { filler, LineageWriter, transactionEnd } from '../../../test/support/wal-lineage.ts';
import { timestampToServer } from '../../postgres/index.ts';
import { findCommit, findTransaction } from './find-commit.ts';
import { readWalInventory, type WalInventory } from './inventory.ts';
import type { TransactionLandmark, WalLandmark } from './landmark.ts';
import { findLastCommit } from './last-commit.ts';
import { resolveTime } from './resolve-time.ts';
import { scanWal } from './scan.ts';

const MIB = 1024n * 1024n;
const FIRST = 4094n;
const START = FIRST * MIB;
const SEGMENTS = 20n;
const SWITCHED = FIRST + 5n;
const second = (seconds: number): bigint => 1_780_000_000_000_000n + BigInt(Math.round(seconds * 1_000_000));

interface Ending {
  readonly outcome: 'commit' | 'abort';
  readonly xid: number;
  readonly at: number;
  readonly bytesBefore: number;
  readonly isPrepared: boolean;
}

const ending = fc.record({
  outcome: fc.constantFrom('commit', 'commit', 'commit', 'abort'),
  xid: fc.integer({ min: 3, max: 60 }),
  // Minutes of disorder; below, the clock is also set back by hours.
  at: fc.integer({ min: -300, max: 300 }),
  bytesBefore: fc.oneof(fc.integer({ min: 10, max: 4000 }), fc.integer({ min: 10_000, max: 900_000 })),
  isPrepared: fc.boolean(),
});

function recordOf({ outcome, xid, isPrepared }: Ending, at: bigint): RecordParts {
  if (!isPrepared) return transactionEnd(outcome, xid, at);
  const mainData = Buffer.alloc(16);
  mainData.writeBigInt64LE(timestampToServer(at));
  mainData.writeUInt32LE(16, 8);
  mainData.writeUInt32LE(xid, 12);
  return { resourceManager: 1, info: (outcome === 'commit' ? 0x30 : 0x40) | 0x80, mainData };
}

/** Twenty segments over two timelines, the second of which begins in the middle of one; the server's clock is set back on the way. */
async function write(
  { repository, store }: TestRepository,
  endings: readonly Ending[],
  options: { setBackAt: number; setBackBy: number; lost: readonly number[] },
) {
  for await (const { name } of store.list('wal/')) await store.delete(name);
  const wal = new WalBuilder({ startLsn: START });
  let clock = 0;
  let switchLsn = 0n;
  for (let i = 0; wal.lsn < (FIRST + SEGMENTS) * MIB; i++) {
    const drawn = endings[i % endings.length]!;
    wal.append(filler(drawn.bytesBefore));
    clock += drawn.bytesBefore / 1000;
    if (i === options.setBackAt) clock -= options.setBackBy;
    wal.append(recordOf(drawn, second(clock + drawn.at)));
    if (switchLsn === 0n && wal.lsn > SWITCHED * MIB) {
      switchLsn = wal.lsn + 7n - ((wal.lsn + 7n) % 8n);
      wal.timeline = 2;
    }
  }
  const lineage = await LineageWriter.create(repository);
  const forkSegment = switchLsn / MIB;
  await lineage.history(2, [{ timeline: 1, switchLsn, reason: 'promoted' }]);
  wal.timeline = 1;
  await joinSegments(repository, lineage.place, wal, { first: FIRST, last: forkSegment - 1n });
  if (switchLsn % MIB > 0n) await lineage.fragment(wal, forkSegment * MIB, switchLsn, 1);
  wal.timeline = 2;
  await joinSegments(repository, lineage.place, wal, { first: forkSegment, last: FIRST + SEGMENTS - 1n });
  const tail = (FIRST + SEGMENTS) * MIB;
  if (wal.lsn > tail) await lineage.fragment(wal, tail, wal.lsn, 2);
  const names: string[] = [];
  for await (const { name } of store.list(`wal/7/${lineage.place.lineage}/landmarks/`)) names.push(name);
  for (const n of options.lost) if (names[n] !== undefined) await store.delete(names[n]);
  return { inventory: await readWalInventory(repository), end: wal.lsn, switchLsn };
}

/** The same question answered by walking every record. */
async function walk(repository: TestRepository['repository'], inventory: WalInventory, from: bigint, to: bigint) {
  const landmarks: WalLandmark[] = [];
  const range = { lineage: 'a'.repeat(64), timeline: 2, from, to };
  for await (const landmark of scanWal(repository, inventory, range)) landmarks.push(landmark);
  const ends = landmarks.filter((landmark): landmark is TransactionLandmark => landmark.kind === 'transaction');
  const isCommit = ({ transaction }: TransactionLandmark) => transaction.outcome === 'commit';
  return { ends, commits: ends.filter(isCommit) };
}

describe('times, transactions and last commits', () => {
  it('are found by the index as by walking every record, over timelines, with the clock set back, whatever of the index is lost', async (test) => {
    const made = await createRepository(test);
    const scenario = fc.record({
      endings: fc.array(ending, { minLength: 4, maxLength: 40 }),
      options: fc.record({
        setBackAt: fc.nat(60),
        setBackBy: fc.constantFrom(0, 3600, 12_000),
        lost: fc.array(fc.nat(30), { maxLength: 6 }),
      }),
      times: fc.array(fc.double({ min: -0.1, max: 1.1, noNaN: true }), { minLength: 6, maxLength: 6 }),
      from: fc.double({ min: 0, max: 0.9, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ endings, options, times, from }) => {
        const { inventory, end } = await write(made, endings, options);
        const all = await walk(made.repository, inventory, START, end);
        const begin = all.ends[Math.floor(from * (all.ends.length - 1))]!.lsn;
        const { ends, commits } = await walk(made.repository, inventory, begin, end);
        const history = { lineage: 'a'.repeat(64), timeline: 2, from: begin };
        const [first, last] = [ends[0]!.transaction.at, ends.at(-1)!.transaction.at];
        for (const part of times) {
          const time = first + BigInt(Math.round(Number(last - first) * part));
          const stop = ends.findIndex(({ transaction }) => transaction.at > time);
          const found = await resolveTime(made.repository, inventory, { ...history, time });
          if (stop < 0) {
            assert.notEqual(found.kind, 'before-transaction');
            continue;
          }
          assert.ok(found.kind === 'before-transaction');
          assert.deepEqual(found.stop, ends[stop]);
          assert.deepEqual(found.lastCommit, commits.findLast(({ lsn }) => lsn < ends[stop]!.lsn) ?? null);
          const skipped = commits.filter(({ lsn, transaction }) => lsn > ends[stop]!.lsn && transaction.at <= time);
          assert.equal(found.skippedCount, skipped.length);
          assert.deepEqual(found.skipped, skipped.slice(0, 100));
          assert.equal(found.isSkippedCounted, true);
        }
        for (const xid of [endings[0]!.xid, endings.at(-1)!.xid, 61]) {
          const expected = commits.find(({ transaction }) => transaction.xid === xid) ?? null;
          assert.deepEqual(await findCommit(made.repository, inventory, { ...history, xid }), expected);
          const mentions = await findTransaction(made.repository, inventory, { ...history, xid });
          assert.deepEqual(
            mentions.map(({ landmark }) => landmark.lsn),
            ends.filter(({ transaction }) => transaction.xid === xid).map(({ lsn }) => lsn),
          );
        }
        const to = ends[Math.floor(ends.length / 2)]!.endLsn;
        assert.deepEqual(
          await findLastCommit(made.repository, inventory, { ...history, to }),
          commits.findLast(({ endLsn }) => endLsn <= to) ?? null,
        );
      }),
      { numRuns: 12 },
    );
  });

  it('finds the last commit far back, where nothing committed for long', async (test) => {
    const made = await createRepository(test);
    const wal = new WalBuilder({ startLsn: START });
    wal.append(filler(500));
    const { lsn } = wal.append(transactionEnd('commit', 5, second(1)));
    while (wal.lsn < (FIRST + 40n) * MIB) wal.append(filler(900_000));
    const lineage = await LineageWriter.create(made.repository);
    await joinSegments(made.repository, lineage.place, wal, { first: FIRST, last: FIRST + 39n });
    const inventory = await readWalInventory(made.repository);
    const range = { lineage: 'a'.repeat(64), timeline: 1, from: START, to: (FIRST + 40n) * MIB };
    assert.equal((await findLastCommit(made.repository, inventory, range))?.lsn, lsn);
    const none = { ...range, from: lsn + 8n };
    assert.equal(await findLastCommit(made.repository, inventory, none), null);
  });
});
