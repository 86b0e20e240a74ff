import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import {
  choosePoints,
  compareWithExpected,
  describePoint,
  foldRecords,
  type History,
  makeHistory,
  type Point,
} from '../support/history/index.ts';
import type { PostgresMajor } from '../support/postgres-binaries.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** A campaign asks for more. */
const points = Number(process.env.HOLDFAST_RESTORE_POINTS ?? 12);
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** From 15 on: pg_walinspect, by which is known what must be there, came with it. */
const major = Number(process.env.HOLDFAST_MAJOR ?? 18) as PostgresMajor;
const transactions = Number(process.env.HOLDFAST_TRANSACTIONS ?? 150);
/** Restores at the same time: a server that starts waits for the disk more than for a core. */
const concurrency = 2;

/**
 * Restored to whatever moment, what is there is exactly what was committed before it in the WAL: rows, tables with their columns, large
 * objects, databases, prepared transactions.
 */
describe(`a history of PostgreSQL ${major} restored to ${points} random moments (HOLDFAST_SEED=${seed})`, {
  concurrency,
}, () => {
  let history: History;
  let chosen: readonly Point[];

  before(async (suite) => {
    history = await makeHistory({ seed, major, transactions });
    suite.diagnostic(`rounds: ${history.incidents.join(', ')}; histories: ${history.branches.length}`);
    const { snapshots } = await history.place.repository.listSnapshots();
    const [first] = snapshots.toSorted((a, b) => (a.completedAt < b.completedAt ? -1 : 1));
    const at = BigInt(Date.parse(first!.completedAt) + 1_500) * 1000n;
    const earliest = { lsn: parseLsn(first!.wal.end), at };
    chosen = choosePoints(history.branches, seededRandom(seed + 1), earliest, points);
  });
  after(() => history?.dispose());

  for (let number = 0; number < points; number++) {
    it(`at moment ${number + 1}`, async (test) => {
      const point = chosen[number]!;
      const { branch, target, exclusive, replayed } = point;
      test.diagnostic(describePoint(point));
      const { repository, stateDirectory } = history.place;
      const into = join(history.scratch, `restored-${number}`);
      const result = await runRestore({
        ...{ repository, stateDirectory, clock: systemClock, into, target, exclusive },
        ...(branch.lineage === null ? {} : { lineage: branch.lineage }),
        start: { binDirectory: history.binDirectory },
        ...(runsAsRoot ? { owner: nobody } : {}),
      });
      try {
        await compareWithExpected(result.instance!.instance, foldRecords(replayed), describePoint(point));
      } finally {
        await result.instance!.stop();
        for (const path of [into, `${into}.tablespaces`]) await rm(path, { recursive: true, force: true });
      }
    });
  }
});
