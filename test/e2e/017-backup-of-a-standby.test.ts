import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { type Progress, silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseBackupLabel, parseLsn } from '../../src/postgres/index.ts';
import { type BackupOptions, runBackup } from '../../src/protect/backup/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
import type { SnapshotRecord } from '../../src/repository/index.ts';
import type { RecoveryTarget } from '../../src/restore/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { historyOf, type ProtectedServer, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { targetOf } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { startStandby, untilReplayed } from '../support/standby-server.ts';
import { startReceiver } from '../support/wal-receiver.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const quiet = { autovacuum: 'off' };

function backUp(
  { place }: ProtectedServer,
  server: PostgresServer,
  options: Partial<BackupOptions> = {},
): Promise<SnapshotRecord> {
  return runBackup({
    ...place,
    source: targetOf(server.backupSocketUrl),
    cluster: 'main',
    checkpoint: 'fast',
    clock: systemClock,
    progress: silentProgress,
    ...options,
  }).then(({ snapshot }) => snapshot);
}

async function restoredRows(world: ProtectedServer, snapshot: SnapshotRecord, target: RecoveryTarget): Promise<string> {
  const { binDirectory } = world.server;
  const exclusive = target.kind === 'lsn';
  const { proposal, instance } = await world.restore({
    ...{ target, exclusive, snapshot: snapshot.id, start: { binDirectory } },
    ...owner,
  });
  try {
    assert.equal(proposal.snapshot.id, snapshot.id);
    return await historyOf(instance!.instance);
  } finally {
    await instance!.stop();
  }
}

/** Does something in the middle of a backup, which then goes on at a pace that leaves time for it. */
function inTheMiddle(act: () => Promise<unknown>): {
  progress: Progress;
  maxRate: number;
  done: () => Promise<unknown>;
} {
  let acting: Promise<unknown> | null = null;
  const progress = {
    ...silentProgress,
    advance: () => {
      acting ??= act();
    },
  };
  return { progress, maxRate: 8_192, done: async () => acting };
}

async function listed({ repository }: ProtectedServer): Promise<string[]> {
  return (await repository.listSnapshots()).snapshots.map(({ id }) => id);
}

for (const major of [18, 14] as const) {
  describe(`backing up a standby of PostgreSQL ${major}`, () => {
    it('leads to the latest state, to a time and to a position, with the WAL of the primary and with its own', async () => {
      const world = await startProtectedServer(major, quiet);
      try {
        await world.write(3);
        await using standby = await startStandby(world.server, join(world.scratch, 'standby'), quiet);
        await world.write(3);
        await world.server.query('CHECKPOINT');
        await untilReplayed(world.server, standby);

        const first = await backUp(world, standby);
        const { fromStandby, backupLabel } = first.details as { fromStandby: boolean; backupLabel: string };
        assert.equal(fromStandby, true);
        assert.equal(parseBackupLabel(backupLabel).backupFrom, 'standby');
        assert.deepEqual(await standby.query('SELECT slot_name FROM pg_replication_slots'), []);
        // The checkpoint from which a backup begins tells whole seconds: a time of that second may lie before it.
        await systemClock.sleep(1_000);
        await world.write(6);
        await world.settle();
        const [eighth, tenth] = [world.steps[7]!, world.steps[9]!];
        assert.equal(await restoredRows(world, first, { kind: 'latest' }), rowsUpTo(12));
        assert.equal(await restoredRows(world, first, { kind: 'time', at: eighth.at }), rowsUpTo(8));
        assert.equal(await restoredRows(world, first, { kind: 'lsn', lsn: tenth.lsnAfter }), rowsUpTo(10));

        // The primary is gone, and with it the receiver: the standby gives the WAL too.
        await world.receiver.stop();
        await world.write(2);
        await untilReplayed(world.server, standby);
        await world.server.stop('immediate');
        const second = await backUp(world, standby);
        assert.equal(second.wal.lineage, first.wal.lineage);
        assert.equal(await restoredRows(world, second, { kind: 'latest' }), rowsUpTo(14));
      } finally {
        await world.dispose();
      }
    });

    it('fails clearly when the primary writes no full pages, or the standby is promoted meanwhile', async () => {
      const world = await startProtectedServer(major, quiet);
      try {
        await world.write(3);
        await using standby = await startStandby(world.server, join(world.scratch, 'standby'), quiet);
        await world.server.query('ALTER SYSTEM SET full_page_writes = off');
        await world.server.query('SELECT pg_reload_conf()');
        await world.server.query('CHECKPOINT');
        await world.write(1);
        await untilReplayed(world.server, standby);
        await assert.rejects(backUp(world, standby), (error: { code: string; hints: string[] }) => {
          assert.equal(error.code, 'BACKUP_FULL_PAGE_WRITES_OFF');
          assert.match(error.hints.join('\n'), /ALTER SYSTEM SET full_page_writes = on/);
          return true;
        });
        await world.server.query('ALTER SYSTEM RESET full_page_writes');
        await world.server.query('SELECT pg_reload_conf()');
        await world.server.query('CHECKPOINT');
        await world.write(1);
        await untilReplayed(world.server, standby);
        const ids = [(await backUp(world, standby)).id];

        const promotion = inTheMiddle(() => standby.query('SELECT pg_promote()'));
        await assert.rejects(backUp(world, standby, promotion), { code: 'BACKUP_STANDBY_PROMOTED' });
        await promotion.done();
        assert.deepEqual(await listed(world), ids);
      } finally {
        await world.dispose();
      }
    });
  });
}

describe('the WAL of a standby', () => {
  it('is fetched from the standby when the receiver of the primary began after the last checkpoint that it has replayed', async () => {
    const world = await startProtectedServer(18, quiet);
    try {
      await world.receiver.stop();
      await world.write(3);
      await using standby = await startStandby(world.server, join(world.scratch, 'standby'), quiet);
      await untilReplayed(world.server, standby);
      await standby.query('SELECT pg_wal_replay_pause()');
      await world.write(3);
      for (const i of [1, 2]) await world.server.query(`SELECT pg_switch_wal(); CHECKPOINT; SELECT ${i}`);
      const place = { ...world.place };
      await world.write(1);
      await using receiver = startReceiver({ ...place, cluster: 'later', source: world.server.backupSocketUrl });
      await receiver.seen('streaming', (event) => event.kind === 'state' && event.state === 'streaming');
      const snapshot = await backUp(world, standby, { cluster: 'later' });
      const inventory = await readWalInventory(world.repository);
      const { lineage, timeline, start, end } = snapshot.wal;
      assert.ok(contiguousEnd(inventory, lineage, timeline, parseLsn(start)) >= parseLsn(end));
      await receiver.stop();
    } finally {
      await world.dispose();
    }
  });

  it('need not come from the standby when it is behind what is stored, and the primary is gone', async () => {
    const world = await startProtectedServer(18, quiet);
    try {
      await world.write(3);
      const directory = join(world.scratch, 'standby');
      const before = await startStandby(world.server, directory, quiet);
      await world.write(2);
      await untilReplayed(world.server, before);
      await before.dispose();
      await world.write(4);
      await world.settle();
      await world.receiver.stop();
      await world.server.stop('immediate');
      await using standby = await startPostgres({ major: 18, dataDirectory: directory, settings: quiet });
      const snapshot = await backUp(world, standby);
      assert.equal(await restoredRows(world, snapshot, { kind: 'latest' }), rowsUpTo(9));
    } finally {
      await world.dispose();
    }
  });

  it('that another history wrote at the same positions is refused', async () => {
    const world = await startProtectedServer(18, { ...quiet, wal_keep_size: '256MB' });
    try {
      await world.write(2);
      // A copy of the primary, as of a volume, goes its own way under the same names, and has a standby of its own.
      await world.receiver.stop();
      await world.server.stop();
      const directory = join(world.scratch, 'copy');
      await promisify(execFile)('cp', ['-a', world.server.dataDirectory, directory]);
      await world.server.restart();
      await using copy = await startPostgres({ major: 18, dataDirectory: directory, settings: quiet });
      await using standby = await startStandby(copy, join(world.scratch, 'standby'), quiet);
      await copy.query('CREATE TABLE other (i int); CHECKPOINT');
      await untilReplayed(copy, standby);
      const { repository, stateDirectory } = world.place;
      const source = world.server.backupSocketUrl;
      await using receiver = startReceiver({ repository, stateDirectory, source, flushIntervalMs: 100 });
      for (let i = 0; i < 3; i++)
        await world.server.query('SELECT pg_switch_wal(); CREATE TABLE t AS SELECT 1; DROP TABLE t');
      await receiver.seen('streaming', (event) => event.kind === 'state' && event.state === 'streaming');
      await world.server.query('CHECKPOINT');
      await assert.rejects(backUp(world, standby), { code: 'BACKUP_WAL_FOREIGN' });
      assert.deepEqual(await listed(world), []);
      await receiver.stop();
    } finally {
      await world.dispose();
    }
  });
});
