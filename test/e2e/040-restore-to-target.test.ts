import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { crc32c } from '@node-rs/crc32';
import { type HoldfastError, systemClock } from '../../src/lib/index.ts';
import { formatTimestamp, parseBackupManifest, parseLsn } from '../../src/postgres/index.ts';
import { findCommit, readWalInventory } from '../../src/protect/wal/index.ts';
import { findEntry, readFileMap } from '../../src/repository/index.ts';
import {
  BLOCK_BEGIN,
  MARKER_NAME,
  prepareRestore,
  type RecoveryTarget,
  type RestoreOptions,
  verifyReached,
} from '../../src/restore/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import {
  type HistoryStep,
  historyOf,
  type ProtectedServer,
  rowsUpTo,
  startProtectedServer,
  untilOpen,
} from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const latest: RecoveryTarget = { kind: 'latest' };

for (const major of [18, 14] as const) {
  describe(`restoring PostgreSQL ${major}`, () => {
    const before1 = 10;
    const all = 40;
    let world: ProtectedServer;
    const step = (n: number): HistoryStep => world.steps[n - 1]!;

    before(async () => {
      // What a server may have had to do, and must not go on doing once it is restored.
      const oldTies = {
        archive_mode: 'on',
        archive_command: '/bin/true',
        primary_conninfo: 'host=old.example',
        primary_slot_name: 'old',
        recovery_target_time: '2020-01-01 00:00:00+00',
      };
      world = await startProtectedServer(major, { autovacuum: 'off', ...oldTies });
      await writeFile(join(world.server.dataDirectory, 'standby.signal'), '');
      await world.write(before1);
      await world.backUp();
      // A server tells the second in which a backup began and no more: a moment in that same second is not reached from it.
      await systemClock.sleep(1000 - (systemClock.now() % 1000));
      await world.write(all - before1);
      await world.settle();
    });
    after(() => world?.dispose());

    /** Restores, starts, and gives the result with the rows that were found; nothing of it is left. */
    async function restoreAndRead(options: Pick<RestoreOptions, 'target'> & Partial<RestoreOptions>) {
      const { binDirectory } = world.server;
      const result = await world.restore({ start: { binDirectory }, ...owner, ...options });
      try {
        return { result, rows: await historyOf(result.instance!.instance) };
      } finally {
        await result.instance!.stop();
        await rm(result.proposal.into, { recursive: true });
      }
    }

    async function commitRecordOf(n: number): Promise<bigint> {
      const inventory = await readWalInventory(world.repository);
      const [lineage] = inventory.lineages;
      const [snapshot] = (await world.repository.listSnapshots()).snapshots;
      assert.ok(snapshot !== undefined && lineage !== undefined);
      const from = BigInt(lineage.header.startLsn);
      const { lineage: id } = lineage;
      const commit = await findCommit(world.repository, inventory, {
        lineage: id,
        timeline: 1,
        from,
        xid: step(n).xid,
      });
      assert.ok(commit !== null);
      return commit.lsn;
    }

    it('to the latest brings back all that was committed, and says that nothing is lost', async () => {
      const { result, rows } = await restoreAndRead({ target: latest });
      assert.equal(rows, rowsUpTo(all));
      const { target } = result.proposal;
      assert.equal(target.lastCommit?.xid, step(all).xid);
      assert.equal(target.lastCommit.at, step(all).at);
      assert.deepEqual(result.reached, { lsn: target.reachedLsn, newTimeline: 2 });
      assert.deepEqual(result.lost, {
        commits: 0,
        isCounted: true,
        uncounted: null,
        first: null,
        last: null,
        bytes: 0n,
      });
      assert.deepEqual(result.checks?.databases, ['template1', 'postgres']);
      assert.deepEqual(result.checks?.invalidIndexes, []);
      assert.deepEqual(result.checks?.preparedTransactions, []);
    });

    it('to the position of a commit leaves it out or brings it back, as asked', async () => {
      const lsn = await commitRecordOf(25);
      const without = await restoreAndRead({ target: { kind: 'lsn', lsn }, exclusive: true });
      assert.equal(without.rows, rowsUpTo(24));
      assert.equal(without.result.lost.commits, all - 24);
      assert.equal(without.result.lost.first?.xid, step(25).xid);
      assert.equal(without.result.lost.last?.xid, step(all).xid);
      const withIt = await restoreAndRead({ target: { kind: 'lsn', lsn } });
      assert.equal(withIt.rows, rowsUpTo(25));
      assert.equal(withIt.result.lost.commits, all - 25);
    });

    it('to a position between two records reads it as PostgreSQL does', async () => {
      const lsn = (await commitRecordOf(20)) + 8n;
      const { result, rows } = await restoreAndRead({ target: { kind: 'lsn', lsn }, exclusive: true });
      assert.equal(rows, rowsUpTo(20));
      assert.match(result.proposal.target.notes.join(), /No record begins at /);
    });

    it('to a time brings back what was committed at that moment and before', async () => {
      const at = step(30).at;
      assert.equal((await restoreAndRead({ target: { kind: 'time', at } })).rows, rowsUpTo(30));
      assert.equal((await restoreAndRead({ target: { kind: 'time', at }, exclusive: true })).rows, rowsUpTo(29));
    });

    it('to the end of the base backup is the earliest, and one byte less is refused', async () => {
      const [snapshot] = (await world.repository.listSnapshots()).snapshots;
      const end = parseLsn(snapshot!.wal.end);
      const { proposal } = await prepare({ kind: 'lsn', lsn: end }, true);
      assert.equal(proposal.target.reachedLsn, end);
      const { rows } = await restoreAndRead({ target: { kind: 'lsn', lsn: end }, exclusive: true });
      assert.equal(rows, rowsUpTo(before1));
      await assert.rejects(prepare({ kind: 'lsn', lsn: end - 1n }, true), { code: 'RESTORE_TARGET_UNREACHABLE' });
    });

    const prepare = (target: RecoveryTarget, exclusive = false) =>
      prepareRestore(
        { repository: world.repository, clock: systemClock, into: join(world.scratch, 'nowhere'), target, exclusive },
        true,
      );

    it('to what is not stored is refused with the range that can be reached', async () => {
      const end = step(all).lsnAfter + (1n << 24n);
      const refusals: [RecoveryTarget, RegExp][] = [
        [{ kind: 'lsn', lsn: 0x1000000n }, /it is complete only at 0\/[0-9A-F]+, after the target/],
        [{ kind: 'lsn', lsn: end }, /its WAL ends without the target/],
        [{ kind: 'time', at: step(1).at - 60_000_000n }, /it began at .*, after the target/],
        [
          { kind: 'time', at: step(before1).at - 1n },
          /it (began at|began in|holds a transaction of) .* after the target/,
        ],
        [{ kind: 'time', at: step(all).at + 3_600_000_000n }, /ends at .*, before the target/],
      ];
      const [snapshot] = (await world.repository.listSnapshots()).snapshots;
      for (const [target, reason] of refusals) {
        await assert.rejects(prepare(target), (error: HoldfastError) => {
          assert.equal(error.code, 'RESTORE_TARGET_UNREACHABLE');
          assert.match(error.detail ?? '', reason);
          assert.match(
            error.detail ?? '',
            new RegExp(`Can be restored: from ${snapshot!.wal.end} \\(snapshot .* to 0/`),
          );
          assert.ok(error.detail?.includes(`last commit ${formatTimestamp(step(all).at)}`), error.detail);
          return true;
        });
      }
      assert.equal(existsSync(join(world.scratch, 'nowhere')), false);
    });

    it('without starting leaves a directory that any server recovers to exactly the proposed position', async () => {
      const lsn = await commitRecordOf(33);
      const result = await world.restore({ target: { kind: 'lsn', lsn }, ...owner });
      const { into } = result.proposal;
      assert.equal(result.reached, null);
      assert.equal(existsSync(join(into, 'standby.signal')), false, 'it would follow a primary instead of opening');
      await assert.rejects(verifyReached(into), { code: 'RESTORE_NOT_RECOVERED' });
      await using server = await startPostgres({ major, dataDirectory: into });
      await untilOpen(server);
      assert.deepEqual(await server.query('SELECT count(*)::int AS rows, max(n) AS last FROM history'), [
        { rows: 33, last: 33 },
      ]);
      // It can be written to, and has nothing to do with where it comes from.
      await server.query('INSERT INTO history VALUES (1000)');
      const [settings] = await server.query(`
        SELECT current_setting('archive_mode') AS archive, current_setting('synchronous_standby_names') AS standbys,
               current_setting('primary_conninfo') AS primary`);
      assert.deepEqual(settings, { archive: 'off', standbys: '', primary: '' });
      const recovered = await verifyReached(into);
      assert.deepEqual(recovered, { newTimeline: 2, endLsn: result.proposal.target.reachedLsn });
      assert.ok(readFileSync(join(into, 'postgresql.auto.conf'), 'utf8').includes(BLOCK_BEGIN));
    });

    it('puts every file of the backup back, byte for byte', async () => {
      const { proposal } = await world.restore({ target: latest, ...owner });
      const { repository } = world;
      const index = await repository.loadIndex();
      const { readChunk } = repository.openChunkReader(index);
      const entry = await findEntry(proposal.snapshot.treeRoot, 'meta/backup_manifest', readChunk);
      assert.ok(entry?.type === 'file');
      const parts: Buffer[] = [];
      for await (const map of readFileMap(entry, readChunk)) {
        for (const extent of map.extents) {
          assert.ok(extent.form === 'chunk');
          parts.push((await readChunk(extent.id)).subarray(extent.offset, extent.offset + extent.length));
        }
      }
      index.close();
      const { files } = parseBackupManifest(Buffer.concat(parts));
      assert.ok(files.length > 900);
      for (const { path, size, checksum } of files) {
        if (path === 'standby.signal') continue;
        const content = readFileSync(join(proposal.into, path));
        // Settings are appended to this one file; what was in it stays as it was.
        if (path !== 'postgresql.auto.conf') assert.equal(content.length, Number(size), path);
        const crc = Buffer.alloc(4);
        crc.writeUInt32LE(crc32c(content.subarray(0, Number(size))));
        assert.equal(crc.toString('hex'), checksum, path);
        assert.equal(statSync(join(proposal.into, path)).mode & 0o777, 0o600, path);
      }
      for (const directory of ['', 'pg_wal', 'pg_wal/archive_status', 'pg_replslot', 'base']) {
        assert.equal(statSync(join(proposal.into, directory)).mode & 0o777, 0o700, directory);
      }
      await rm(proposal.into, { recursive: true });
    });

    it('fails, stops the server and puts the directory out of use when recovery ends elsewhere than proposed', async () => {
      const into = join(world.scratch, 'elsewhere');
      const request = { repository: world.repository, clock: systemClock, into, target: latest };
      const { proposal } = await prepareRestore(request, true);
      const { target } = proposal;
      const { binDirectory } = world.server;
      for (const [reachedLsn, code] of [
        [target.reachedLsn + 8n, 'RESTORE_STOPPED_EARLY'],
        [target.reachedLsn - 8n, 'RESTORE_WENT_TOO_FAR'],
      ] as const) {
        const wrong = { ...proposal, target: { ...target, reachedLsn } };
        const restore = world.restore({ ...request, proposal: wrong, start: { binDirectory }, ...owner });
        await assert.rejects(restore, { code });
        assert.equal(existsSync(join(into, 'postmaster.pid')), false);
        assert.equal(existsSync(join(into, 'global', 'pg_control')), false);
        assert.match(readFileSync(join(into, MARKER_NAME), 'utf8'), /"state": "failed"/);
        await rm(into, { recursive: true });
      }
    });

    it('refuses a place that is not empty, that is no directory, or in which a server runs', async () => {
      const place = join(world.scratch, 'place');
      await mkdir(place);
      await writeFile(join(place, 'precious'), 'mine');
      const into = (path: string) => world.restore({ target: latest, into: path });
      await assert.rejects(into(place), { code: 'RESTORE_TARGET_NOT_EMPTY' });
      await assert.rejects(into(join(place, 'precious')), { code: 'RESTORE_TARGET_UNUSABLE' });
      await assert.rejects(into(join(place, 'no', 'parent')), { code: 'RESTORE_TARGET_UNUSABLE' });
      await assert.rejects(into(world.server.dataDirectory), { code: 'RESTORE_TARGET_RUNNING' });
      assert.deepEqual(await readdir(place), ['precious']);
      assert.equal(readFileSync(join(place, 'precious'), 'utf8'), 'mine');
      if (!runsAsRoot) {
        await chmod(place, 0o500);
        await assert.rejects(into(join(place, 'sub')), { code: 'RESTORE_TARGET_UNUSABLE' });
      }
    });

    it('writes every restore and its outcome into the ledger', async () => {
      const outcomes = await listRestores(world);
      const started = outcomes.filter((outcome) => outcome === 'started').length;
      assert.ok(started >= 8, `entries: ${outcomes.join(' ')}`);
      assert.deepEqual([...new Set(outcomes)].sort(), ['done', 'failed', 'started']);
      assert.equal(outcomes.filter((outcome) => outcome === 'failed').length, 2);
      assert.equal(outcomes.length, started * 2, 'each has its outcome');
    });
  });
}

/** The outcomes of all entries about restores. */
async function listRestores(world: ProtectedServer): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of world.repository.store.list('ledger/')) {
    const entry = (await world.repository.getJson('ledger', name)) as { action: string; outcome: string };
    if (entry.action === 'restore') found.push(entry.outcome);
  }
  return found;
}
