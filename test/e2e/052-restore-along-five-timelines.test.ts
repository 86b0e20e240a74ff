import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { describeContinuity, newestTimeline } from '../../src/protect/wal/index.ts';
import { type RecoveryTarget, runRestore } from '../../src/restore/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { historyOf, rowsUpTo, untilOpen } from '../support/protected-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';
import { startStandby, untilReplayed } from '../support/standby-server.ts';
import { flushLsnOf, onlyLineage, type RunningReceiver, startReceiver } from '../support/wal-receiver.ts';

const TIMELINES = 5;
const ROWS_PER_TIMELINE = 4;
/** Commits of one microsecond could not be told apart. */
const PAUSE_MS = 3;

/** A row of the history: when it was committed, and a position behind its commit. */
interface Step {
  readonly timeline: number;
  readonly at: bigint;
  readonly lsnAfter: bigint;
}

describe('a cluster that was promoted four times', () => {
  const stack = new AsyncDisposableStack();
  const steps: Step[] = [];
  let scratch: string;
  let place: TestRepository;
  let server: PostgresServer;
  let restores = 0;

  before(async () => {
    scratch = await makeScratchDirectory('five-timelines');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    const settings = { autovacuum: 'off', track_commit_timestamp: 'on', wal_keep_size: '256MB' };
    server = stack.use(await startPostgres({ major: 18, walSegmentSizeMb: 1, settings }));
    await server.query('CREATE TABLE history (n int PRIMARY KEY)');
    place = await makeRepository(scratch);
    stack.defer(() => place.repository.close());
    for (let timeline = 1; timeline <= TIMELINES; timeline++) {
      await using receiver = receive();
      // One in the middle of the chain: later moments may begin with it, earlier ones must not.
      if (timeline === 1 || timeline === 3) await backUp();
      const standby = stack.use(await startStandby(server, join(scratch, `standby-${timeline}`)));
      await untilOpen(standby);
      await write(timeline, receiver);
      await receiver.stop();
      if (timeline < TIMELINES) await promote(standby);
    }
  });
  after(() => stack.disposeAsync());

  function receive(): RunningReceiver {
    return startReceiver({ ...place, source: server.backupSocketUrl, flushIntervalMs: 50 });
  }

  function backUp() {
    const source = targetOf(server.backupSocketUrl);
    return runBackup({
      ...place,
      source,
      cluster: 'main',
      clock: systemClock,
      progress: silentProgress,
      checkpoint: 'fast',
    });
  }

  async function write(timeline: number, receiver: RunningReceiver): Promise<void> {
    for (let row = 0; row < ROWS_PER_TIMELINE; row++) {
      const [{ xid } = { xid: '' }] = await server.query<{ xid: string }>(
        `INSERT INTO history VALUES (${steps.length + 1}) RETURNING pg_current_xact_id()::xid::text AS xid`,
      );
      const [after] = await server.query<{ at: string; lsn: string }>(
        `SELECT (extract(epoch FROM pg_xact_commit_timestamp('${xid}')) * 1000000)::bigint::text AS at, pg_current_wal_insert_lsn() AS lsn`,
      );
      steps.push({ timeline, at: BigInt(after!.at), lsnAfter: parseLsn(after!.lsn) });
      await systemClock.sleep(PAUSE_MS);
      if (row === 1) await server.query('SELECT pg_switch_wal()');
    }
    await receiver.durable(await flushLsnOf(server));
  }

  async function promote(standby: PostgresServer): Promise<void> {
    await untilReplayed(server, standby);
    await server.dispose();
    await standby.query('SELECT pg_promote()');
    server = standby;
  }

  async function rowsAt(target: RecoveryTarget, exclusive: boolean): Promise<{ rows: string; timeline: number }> {
    restores += 1;
    const into = join(scratch, `restored-${restores}`);
    const result = await runRestore({
      ...{ ...place, clock: systemClock, into, target, exclusive },
      start: { binDirectory: server.binDirectory },
      ...(runsAsRoot ? { owner: nobody } : {}),
    });
    try {
      return { rows: await historyOf(result.instance!.instance), timeline: result.proposal.target.timeline };
    } finally {
      await result.instance!.stop();
      await rm(into, { recursive: true });
    }
  }

  it('has one lineage, without a gap, that goes through all five timelines', async () => {
    const lineage = await onlyLineage(place.repository);
    assert.equal(newestTimeline(lineage), TIMELINES);
    assert.deepEqual([...lineage.histories.keys()].sort(), [2, 3, 4, 5]);
    assert.deepEqual(describeContinuity(lineage).gaps, []);
  });

  for (let timeline = 1; timeline <= TIMELINES; timeline++) {
    it(`comes back to a moment on timeline ${timeline}`, async () => {
      const row = (timeline - 1) * ROWS_PER_TIMELINE + 3;
      const step = steps[row - 1]!;
      const byPosition = await rowsAt({ kind: 'lsn', lsn: step.lsnAfter }, true);
      assert.deepEqual(byPosition, { rows: rowsUpTo(row), timeline });
      // Half of them by time as well: the first ones would be refused, as a checkpoint's clock counts whole seconds.
      if (timeline % 2 === 1) return;
      const byTime = await rowsAt({ kind: 'time', at: step.at }, false);
      assert.deepEqual(byTime, { rows: rowsUpTo(row), timeline });
    });
  }

  it('comes back to the end', async () => {
    const latest = await rowsAt({ kind: 'latest' }, false);
    assert.deepEqual(latest, { rows: rowsUpTo(TIMELINES * ROWS_PER_TIMELINE), timeline: TIMELINES });
  });
});
