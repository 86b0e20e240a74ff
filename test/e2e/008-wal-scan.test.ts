import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  formatLsn,
  parseLsn,
  parseTransactionEnd,
  parseXlogEvent,
  readControlFile,
  type TransactionEnd,
  WalScanner,
  type WalStop,
  type XlogEvent,
} from '../../src/postgres/index.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';

const SEGMENT_BYTES = 1024 * 1024;

interface Scan {
  /** Where each record begins. */
  readonly records: bigint[];
  /** Notes on records that a crash broke off. */
  readonly overwrites: bigint[];
  readonly ends: (TransactionEnd & { readonly lsn: bigint; readonly endLsn: bigint })[];
  readonly events: (XlogEvent & { readonly lsn: bigint })[];
  readonly stop: WalStop;
}

/** Reads all of a server's WAL that is on its disk, in pieces of the given size. */
function scanServer(server: PostgresServer, systemId: string, pieceBytes: number): Scan {
  const directory = join(server.dataDirectory, 'pg_wal');
  const names = readdirSync(directory)
    .filter((name) => /^[0-9A-F]{24}$/.test(name))
    .sort();
  const startLsn = BigInt(`0x${names[0]!.slice(8, 16)}${names[0]!.slice(19)}00000`);
  const scanner = new WalScanner({ segmentSize: SEGMENT_BYTES, startLsn, timeline: 1, systemId });
  const scan: Omit<Scan, 'stop'> = { records: [], overwrites: [], ends: [], events: [] };
  for (const name of names) {
    const bytes = readFileSync(join(directory, name));
    for (let at = 0; at < bytes.length && scanner.stopped === null; at += pieceBytes) {
      scanner.push(bytes.subarray(at, at + pieceBytes));
      for (let record = scanner.next(); record !== null; record = scanner.next()) {
        scan.records.push(record.lsn);
        if (record.resourceManager === 0 && (record.info & 0xf0) === 0xd0) scan.overwrites.push(record.lsn);
        assert.equal(record.major, server.major);
        const end = parseTransactionEnd(record);
        if (end !== null) scan.ends.push({ ...end, lsn: record.lsn, endLsn: record.endLsn });
        const event = parseXlogEvent(record);
        if (event !== null) scan.events.push({ ...event, lsn: record.lsn });
      }
    }
  }
  return { ...scan, stop: scanner.end() };
}

for (const major of postgresMajors) {
  describe(`WAL that PostgreSQL ${major} wrote`, () => {
    const settings = { wal_keep_size: '1GB', max_prepared_transactions: '5', autovacuum: 'off' };
    const start = () => startPostgres({ major, walSegmentSizeMb: 1, settings });
    const lsnOf = async (server: PostgresServer, expression = 'pg_current_wal_insert_lsn()') =>
      parseLsn(String((await server.query(`SELECT ${expression} AS lsn`))[0]?.lsn));

    it('is read to its very end, with every commit at its place', async () => {
      await using server = await start();
      const { systemId } = await readControlFile(server.dataDirectory);
      await server.query('CREATE TABLE item (n int PRIMARY KEY, text text)');
      await server.query("INSERT INTO item SELECT i, repeat('x', i % 3000) FROM generate_series(1, 5000) i");
      await server.query('CREATE TABLE doomed AS SELECT 1');
      const [doomed] = await server.query("SELECT pg_relation_filenode('doomed')::int AS node");
      // What is dropped, and its statistics, stand before the xid in the record of the second phase.
      await server.query('CREATE TABLE scrap AS SELECT 1');
      await server.query("BEGIN; INSERT INTO item VALUES (-3); DROP TABLE scrap; PREPARE TRANSACTION 'kept'");
      const [kept] = await server.query('SELECT transaction::text::int AS xid FROM pg_prepared_xacts');
      await server.query("COMMIT PREPARED 'kept'");
      await server.query("BEGIN; INSERT INTO item VALUES (-4); PREPARE TRANSACTION 'left'");
      await server.query("ROLLBACK PREPARED 'left'");
      await server.query('DROP TABLE doomed');
      await server.query("SELECT pg_create_restore_point('before the end'); SELECT pg_switch_wal()");
      // A record over several segments, and one that is no multiple of anything.
      await server.query("SELECT pg_logical_emit_message(true, 'note', repeat('0123456789', 350000))");
      const beforeLast = Date.now();
      const [last] = await server.query(
        'BEGIN; SELECT set_config($$x.y$$, pg_current_xact_id()::text, false); INSERT INTO item VALUES (-9); COMMIT; SELECT current_setting($$x.y$$)::int AS xid',
      );
      const endLsn = await lsnOf(server);
      for (const pieceBytes of [SEGMENT_BYTES, 10_007]) {
        const { stop, ends, events, records } = scanServer(server, systemId, pieceBytes);
        assert.equal(stop.reason, 'no-record');
        assert.equal(formatLsn(stop.validEndLsn), formatLsn(endLsn));
        assert.ok(records.length > 5000);
        const end = ends.at(-1);
        assert.deepEqual([end?.outcome, end?.xid, end?.endLsn], ['commit', last?.xid, endLsn]);
        const milliseconds = Number(end!.at / 1000n);
        assert.ok(milliseconds >= beforeLast - 1000 && milliseconds <= Date.now() + 1000);
        const prepared = ends.filter(({ wasPrepared }) => wasPrepared);
        assert.deepEqual(
          prepared.map(({ outcome }) => outcome),
          ['commit', 'abort'],
        );
        assert.equal(prepared[0]?.xid, kept?.xid);
        assert.equal(prepared[0]?.removedFiles.length, 1);
        const drop = ends.find(({ removedFiles }) => removedFiles.some((file) => file.relationNumber === doomed?.node));
        assert.equal(drop?.outcome, 'commit');
        const point = events.find((event) => event.kind === 'restore-point');
        assert.equal(point?.kind === 'restore-point' && point.name, 'before the end');
        assert.ok(events.some((event) => event.kind === 'switch'));
        assert.ok(events.some((event) => event.kind === 'checkpoint'));
        const change = events.findLast((event) => event.kind === 'parameter-change');
        assert.equal(change?.kind === 'parameter-change' && change.settings.maxPreparedTransactions, 5);
      }
    });

    it('in segments that were used before ends where the new WAL ends', async () => {
      await using server = await startPostgres({
        major,
        walSegmentSizeMb: 1,
        settings: { min_wal_size: '20MB', max_wal_size: '20MB', autovacuum: 'off' },
      });
      const { systemId } = await readControlFile(server.dataDirectory);
      await server.query('CREATE TABLE item (text text)');
      // Checkpoints let old segments be used again under new names.
      for (let round = 0; round < 4; round++) {
        await server.query("INSERT INTO item SELECT repeat('x', 500) FROM generate_series(1, 5000)");
        await server.query('CHECKPOINT');
      }
      await server.query("INSERT INTO item VALUES ('last')");
      const endLsn = await lsnOf(server);
      const { stop } = scanServer(server, systemId, SEGMENT_BYTES);
      assert.equal(formatLsn(stop.validEndLsn), formatLsn(endLsn));
      assert.ok(['invalid-page', 'invalid-record', 'no-record', 'wrong-checksum'].includes(stop.reason), stop.reason);
    });

    it('goes on behind a record that a crash broke off', async () => {
      await using server = await start();
      const { systemId } = await readControlFile(server.dataDirectory);
      await server.query('CREATE TABLE item AS SELECT 1 AS n; CHECKPOINT');
      const startLsn = await lsnOf(server);
      // One record over three segments; the crash takes the last of them away.
      await server.query("SELECT pg_logical_emit_message(false, 'long', repeat('0123456789', 250000))");
      await server.query('SELECT pg_switch_wal()');
      await server.stop('immediate');
      const directory = join(server.dataDirectory, 'pg_wal');
      const names = readdirSync(directory)
        .filter((name) => /^[0-9A-F]{24}$/.test(name))
        .sort();
      const segmentsBefore = Number(startLsn / BigInt(SEGMENT_BYTES));
      for (const name of names) {
        if (Number.parseInt(name.slice(16), 16) > segmentsBefore + 1) rmSync(join(directory, name));
      }
      await server.restart();
      await server.query('INSERT INTO item VALUES (2)');
      const endLsn = await lsnOf(server);
      const { stop, ends, overwrites } = scanServer(server, systemId, SEGMENT_BYTES);
      assert.equal(overwrites.length, 1);
      assert.equal(formatLsn(stop.validEndLsn), formatLsn(endLsn));
      assert.equal(ends.at(-1)?.endLsn, endLsn);
      assert.ok(endLsn > startLsn + BigInt(SEGMENT_BYTES));
    });

    it('that was damaged is not read past the damage', async () => {
      await using server = await start();
      const { systemId } = await readControlFile(server.dataDirectory);
      await server.query('CREATE TABLE item AS SELECT i FROM generate_series(1, 20000) i');
      await server.stop();
      const whole = scanServer(server, systemId, SEGMENT_BYTES);
      const directory = join(server.dataDirectory, 'pg_wal');
      const names = readdirSync(directory)
        .filter((name) => /^[0-9A-F]{24}$/.test(name))
        .sort();
      const bytes = Buffer.concat(names.map((name) => readFileSync(join(directory, name))));
      const startLsn = BigInt(SEGMENT_BYTES) * BigInt(Number.parseInt(names[0]!.slice(16), 16));
      // Behind the header of a record, which is longer than 32 bytes in every kind that this server wrote here.
      const middle = Math.floor(whole.records.length / 2);
      const victim = whole.records.find((lsn, index) => index > middle && lsn % 8192n < 8000n)!;
      const damage = Number(victim - startLsn) + 27;
      bytes[damage] = bytes[damage]! ^ 1;
      const scanner = new WalScanner({ segmentSize: SEGMENT_BYTES, startLsn, systemId });
      scanner.push(bytes);
      while (scanner.next() !== null);
      const stop = scanner.end();
      assert.equal(stop.reason, 'wrong-checksum');
      assert.deepEqual([stop.lsn, stop.validEndLsn], [victim, victim]);
    });
  });
}
