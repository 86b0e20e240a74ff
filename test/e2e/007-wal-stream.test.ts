import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  connect,
  createPhysicalSlot,
  dropSlot,
  fetchTimelineHistory,
  findServerBinaries,
  identifySystem,
  parseConnectionString,
  parseLsn,
  parseTimelineHistory,
  readSlot,
  segmentNameAt,
  segmentStartOf,
  startInstance,
  startReplication,
} from '../../src/postgres/index.ts';
import { giveToServerUser, takePlainBackup } from '../support/plain-backup.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const SEGMENT_BYTES = 1024 * 1024;

/** Everything that a stream brings, from a segment's beginning on. */
class Collected {
  readonly chunks: Buffer[] = [];
  startLsn: bigint | undefined;
  endLsn = 0n;
  #wake: () => void = () => {};

  readonly onWal = (message: { startLsn: bigint; data: Buffer }): void => {
    this.startLsn ??= message.startLsn;
    assert.equal(message.startLsn, this.startLsn + BigInt(this.bytes), 'WAL comes without gaps');
    this.chunks.push(Buffer.from(message.data));
    this.endLsn = message.startLsn + BigInt(message.data.length);
    this.#wake();
  };

  get bytes(): number {
    return this.chunks.reduce((total, chunk) => total + chunk.length, 0);
  }

  async waitFor(lsn: bigint): Promise<void> {
    while (this.endLsn < lsn) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

for (const major of postgresMajors) {
  describe(`the WAL stream of PostgreSQL ${major}`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await startPostgres({ major, walSegmentSizeMb: 1, settings: { wal_keep_size: '200MB' } });
    });
    after(() => server.dispose());

    const openReplication = (applicationName?: string) =>
      connect(parseConnectionString(server.backupUrl, { variables: {} }), { replication: 'physical', applicationName });
    const currentLsn = async () => parseLsn(String((await server.query('SELECT pg_current_wal_lsn() AS lsn'))[0]?.lsn));

    it('gives the very bytes of the server, segment by segment', async () => {
      const connection = await openReplication();
      const { flushLsn, timeline, systemId } = await identifySystem(connection);
      assert.equal(
        systemId,
        String((await server.query('SELECT system_identifier AS id FROM pg_control_system()'))[0]?.id),
      );
      const startLsn = segmentStartOf(flushLsn, SEGMENT_BYTES);
      const collected = new Collected();
      const stream = await startReplication(connection, { startLsn, timeline, onWal: collected.onWal });
      await server.query('CREATE TABLE item AS SELECT i, md5(i::text) AS text FROM generate_series(1, 40000) i');
      const endLsn = await currentLsn();
      await collected.waitFor(endLsn);
      assert.deepEqual(await stream.stop(), { ended: 'stopped' });
      const wal = Buffer.concat(collected.chunks);
      assert.ok(wal.length > 3 * SEGMENT_BYTES);
      for (let at = 0; at + SEGMENT_BYTES <= wal.length; at += SEGMENT_BYTES) {
        const name = segmentNameAt(timeline, startLsn + BigInt(at), SEGMENT_BYTES);
        const segment = await readFile(join(server.dataDirectory, 'pg_wal', name));
        assert.ok(segment.equals(wal.subarray(at, at + SEGMENT_BYTES)), name);
      }
      await connection.close();
    });

    it('keeps WAL for a slot, and lets it go as flushes are told', async () => {
      const connection = await openReplication();
      const overSql = await connect(parseConnectionString(server.socketUrl, { variables: {} }));
      const read = () => readSlot(major >= 15 ? connection : overSql, 'holdfast_test');
      assert.equal(await read(), null);
      await createPhysicalSlot(connection, 'holdfast_test');
      await assert.rejects(createPhysicalSlot(connection, 'holdfast_test'), { sqlState: '42710' });
      const created = await read();
      assert.ok(created?.restartLsn !== null && created?.restartLsn !== undefined);
      const { timeline } = await identifySystem(connection);
      const collected = new Collected();
      const stream = await startReplication(connection, {
        startLsn: segmentStartOf(created.restartLsn, SEGMENT_BYTES),
        timeline,
        slot: 'holdfast_test',
        onWal: collected.onWal,
      });
      await server.query('CREATE TABLE more AS SELECT i FROM generate_series(1, 20000) i');
      const endLsn = await currentLsn();
      await collected.waitFor(endLsn);
      stream.sendStatus({ write: endLsn, flush: created.restartLsn });
      assert.equal((await readSlot(overSql, 'holdfast_test'))?.restartLsn, created.restartLsn);
      stream.sendStatus({ write: endLsn, flush: endLsn });
      for (;;) {
        if ((await readSlot(overSql, 'holdfast_test'))?.restartLsn === endLsn) break;
      }
      await stream.stop();
      const foreign = await openReplication();
      await dropSlot(foreign, 'holdfast_test', { wait: true });
      await assert.rejects(dropSlot(foreign, 'holdfast_test'), { sqlState: '42704' });
      assert.equal(await read(), null);
      await Promise.all([connection.close(), overSql.close(), foreign.close()]);
    });

    it('releases a waiting commit once the flush is told', async () => {
      const connection = await openReplication('holdfast_sync');
      const { flushLsn, timeline } = await identifySystem(connection);
      const collected = new Collected();
      const stream = await startReplication(connection, {
        startLsn: segmentStartOf(flushLsn, SEGMENT_BYTES),
        timeline,
        onWal: collected.onWal,
      });
      stream.sendStatus({ write: flushLsn, flush: flushLsn });
      await server.query("ALTER SYSTEM SET synchronous_standby_names = 'holdfast_sync'");
      await server.query('SELECT pg_reload_conf()');
      const state = () =>
        server.query("SELECT sync_state FROM pg_stat_replication WHERE application_name = 'holdfast_sync'");
      while ((await state())[0]?.sync_state !== 'sync') await new Promise((resolve) => setTimeout(resolve, 10));
      let isCommitted = false;
      const commit = server.query('CREATE TABLE waited (n int)').then(() => {
        isCommitted = true;
      });
      const waiting = async () =>
        (await server.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'")).length === 1;
      while (!(await waiting())) await new Promise((resolve) => setTimeout(resolve, 10));
      stream.sendStatus({ write: collected.endLsn, flush: flushLsn });
      assert.ok(await waiting());
      assert.equal(isCommitted, false);
      const endLsn = await currentLsn();
      await collected.waitFor(endLsn);
      stream.sendStatus({ write: endLsn, flush: endLsn });
      await commit;
      await server.query('ALTER SYSTEM RESET synchronous_standby_names');
      await server.query('SELECT pg_reload_conf()');
      await stream.stop();
      await connection.close();
    });

    it('is refused where the WAL is gone or has not been written', async () => {
      const connection = await openReplication();
      const { timeline, flushLsn } = await identifySystem(connection);
      const from = (startLsn: bigint) => startReplication(connection, { startLsn, timeline, onWal: () => {} });
      await assert.rejects((await from(0n + BigInt(SEGMENT_BYTES))).ended, { sqlState: '58P01' });
      await assert.rejects((await from(flushLsn + 0x40000000n)).ended, { code: 'PG_SERVER_ERROR' });
      assert.ok(connection.isOpen);
      await connection.close();
    });

    it('says goodbye when the server is shut down, and is lost when it is killed', async () => {
      for (const how of ['fast', 'kill'] as const) {
        const connection = await openReplication();
        const { flushLsn, timeline } = await identifySystem(connection);
        const collected = new Collected();
        const startLsn = segmentStartOf(flushLsn, SEGMENT_BYTES);
        const stream = await startReplication(connection, { startLsn, timeline, onWal: collected.onWal });
        await collected.waitFor(flushLsn);
        if (how === 'fast') {
          // A server that is shut down waits until all its WAL is acknowledged.
          const acknowledge = setInterval(() => {
            stream.sendStatus({ write: collected.endLsn, flush: collected.endLsn });
          }, 20);
          await server.stop('fast');
          clearInterval(acknowledge);
          assert.deepEqual(await stream.ended, { ended: 'server-shutdown' });
        } else {
          await server.kill9();
          await assert.rejects(stream.ended, { code: 'PG_CONNECTION_CLOSED', retryable: true });
        }
        await server.restart();
      }
    });
  });

  it(`the WAL stream of PostgreSQL ${major} ends where a promotion began another timeline`, async () => {
    const scratch = await makeScratchDirectory('timelines');
    await using server = await startPostgres({ major, walSegmentSizeMb: 1 });
    try {
      const source = await connect(parseConnectionString(server.backupSocketUrl, { variables: {} }), {
        replication: 'physical',
      });
      const dataDirectory = join(scratch, 'data');
      const backup = await takePlainBackup(source, dataDirectory);
      await server.query('SELECT pg_switch_wal()');
      const archive = join(server.dataDirectory, 'pg_wal');
      await writeFile(join(dataDirectory, 'recovery.signal'), '');
      await giveToServerUser(scratch);
      const { binDirectory } = await findServerBinaries(major, { directories: [server.binDirectory] });
      const instance = await startInstance({
        dataDirectory,
        binDirectory,
        runDirectory: join(scratch, 'run'),
        settings: { restore_command: `cp "${archive}/%f" "%p"`, wal_keep_size: '100MB' },
      });
      const end = await instance.waitForEndOfRecovery();
      assert.equal(end.newTimeline, 2);
      const connection = await instance.connect({ replication: 'physical' });
      assert.equal((await identifySystem(connection)).timeline, 2);
      const collected = new Collected();
      const startLsn = segmentStartOf(backup.startLsn, SEGMENT_BYTES);
      const stream = await startReplication(connection, { startLsn, timeline: 1, onWal: collected.onWal });
      assert.deepEqual(await stream.ended, { ended: 'timeline', nextTimeline: 2, switchLsn: end.endLsn });
      assert.equal(collected.endLsn, end.endLsn);
      const history = await fetchTimelineHistory(connection, 2);
      assert.equal(history.name, '00000002.history');
      const [entry] = parseTimelineHistory(history.content);
      assert.deepEqual([entry?.timeline, entry?.switchLsn], [1, end.endLsn]);
      // The connection goes on with the next timeline, from the start of the segment that holds the switch.
      const next = new Collected();
      const second = await startReplication(connection, {
        startLsn: segmentStartOf(end.endLsn!, SEGMENT_BYTES),
        timeline: 2,
        onWal: next.onWal,
      });
      await next.waitFor(end.endLsn! + 1n);
      await second.stop();
      await assert.rejects(fetchTimelineHistory(connection, 9), { code: 'PG_SERVER_ERROR' });
      await connection.close();
      await instance.stop();
      await source.close();
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}
