import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { formatLsn, formatTimestamp, parseLsn } from '../../src/postgres/index.ts';
import type { RecoveryTarget } from '../../src/restore/index.ts';
import { historyOf, type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import {
  nextRecordLsn,
  prepareRandomHistory,
  readTransactionRecords,
  type TransactionRecord,
  writeRandomHistory,
} from '../support/random-history.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';

/** As many as the promise names; a campaign may ask for more. */
const points = Number(process.env.HOLDFAST_RESTORE_POINTS ?? 50);
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 32));
const transactionsPerRound = 250;
const backups = 3;
/** Restores at the same time: a server that starts waits for the disk more than for a core. */
const concurrency = 2;

interface Point {
  readonly target: RecoveryTarget;
  readonly exclusive: boolean;
  readonly rows: readonly number[];
}

/** Restored to whatever moment, the rows are exactly those whose commit stands before it in the WAL. */
describe(`a history restored to ${points} random moments (HOLDFAST_SEED=${seed})`, { concurrency }, () => {
  const chosen: Point[] = [];
  let world: ProtectedServer;

  before(async () => {
    const random = seededRandom(seed);
    world = await startProtectedServer(18, { max_prepared_transactions: '20', wal_keep_size: '2GB' });
    await prepareRandomHistory(world.server);
    for (let round = 0; round <= backups; round++) {
      const firstRow = 1 + round * transactionsPerRound;
      await writeRandomHistory(world.server, random, { firstRow, transactions: transactionsPerRound });
      // The last round goes on after the last backup, and some of each round goes on while it is taken.
      if (round < backups) await world.backUp();
    }
    const [end] = await world.server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    await world.settle();
    chosen.push(...(await choosePoints(world, random, end!.lsn)));
  });
  after(() => world?.dispose());

  for (let number = 0; number < points; number++) {
    it(`at moment ${number + 1}`, async (test) => {
      const point = chosen[number]!;
      const { target, exclusive, rows } = point;
      test.diagnostic(describePoint(point));
      const result = await world.restore({
        ...{ target, exclusive, start: { binDirectory: world.server.binDirectory } },
        ...(runsAsRoot ? { owner: nobody } : {}),
      });
      try {
        assert.equal(await historyOf(result.instance!.instance), rows.join(' '), describePoint(point));
      } finally {
        await result.instance!.stop();
        await rm(result.proposal.into, { recursive: true });
      }
    });
  }
});

async function choosePoints(world: ProtectedServer, random: Random, end: string): Promise<Point[]> {
  const { snapshots } = await world.repository.listSnapshots();
  const [first] = snapshots;
  const records = await readTransactionRecords(world.server, { from: first!.wal.start, to: end });
  const earliest = { lsn: parseLsn(first!.wal.end), at: BigInt(Date.parse(first!.completedAt) + 1_500) * 1000n };
  const before = await rowsBefore(world, records);
  const chosen: Point[] = [
    { target: { kind: 'latest' }, exclusive: false, rows: visible(records, before, () => true) },
  ];
  while (chosen.length < points) {
    const exclusive = random.below(2) === 0;
    const near = random.pick(records);
    // Half of the moments are those of a transaction's end itself, where off by one shows.
    if (random.below(2) === 0) {
      const at = near.at + BigInt(random.pick([0, 0, -1, 1, 700]));
      if (at < earliest.at || at > records.at(-1)!.at) continue;
      const stop = records.find((record) => (exclusive ? record.at >= at : record.at > at));
      const rows = visible(records, before, ({ lsn }) => stop === undefined || lsn < stop.lsn);
      chosen.push({ target: { kind: 'time', at }, exclusive, rows });
    } else {
      const lsn = near.lsn + BigInt(random.pick([0, 0, -8, 8, 1000, random.below(100_000)]));
      if (lsn < earliest.lsn || lsn > parseLsn(end) - 200_000n) continue;
      const last = exclusive ? lsn - 1n : await nextRecordLsn(world.server, formatLsn(lsn), end);
      // In the zeros behind a switch of segments the referee finds no record, and cannot say what would be right.
      if (last === null) continue;
      chosen.push({ target: { kind: 'lsn', lsn }, exclusive, rows: visible(records, before, (r) => r.lsn <= last) });
    }
  }
  return chosen;
}

/** Rows that were committed before the first record that was read. */
async function rowsBefore(world: ProtectedServer, records: readonly TransactionRecord[]): Promise<number[]> {
  const later = new Set(records.map(({ row }) => row));
  const all = await world.server.query<{ n: number }>('SELECT n FROM history ORDER BY n');
  return all.map(({ n }) => n).filter((n) => !later.has(n));
}

function visible(
  records: readonly TransactionRecord[],
  before: readonly number[],
  isThere: (record: TransactionRecord) => boolean,
): number[] {
  const rows = records.filter(isThere).flatMap(({ row }) => row ?? []);
  return [...before, ...rows].sort((a, b) => a - b);
}

function describePoint({ target, exclusive, rows }: Point): string {
  const what =
    target.kind === 'latest' ? '' : target.kind === 'time' ? formatTimestamp(target.at) : formatLsn(target.lsn);
  return `${target.kind} ${what}${exclusive ? ' exclusive' : ''}: ${rows.length} rows`;
}
