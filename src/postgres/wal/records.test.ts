import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32c as referenceCrc32c } from '@node-rs/crc32';
import fc from 'fast-check';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { HoldfastError } from '../../lib/index.ts';
import { formatTimestamp } from '../timestamp.ts';
import { crc32c } from './crc32c.ts';
import { parsePreparedTransaction } from './prepared-transaction.ts';
import { findMainData, type WalRecord } from './record.ts';
import { WalScanner } from './scanner.ts';
import { parseStorageEvent } from './storage-event.ts';
import { parseTransactionEnd } from './transaction.ts';
import { parseXlogEvent } from './xlog-event.ts';

/** Makes one record and reads it back through the scanner. */
function makeRecord(resourceManager: number, info: number, mainData: Buffer, magic = 0xd118, xid = 77): WalRecord {
  const builder = new WalBuilder({ magic });
  builder.append({ resourceManager, info, xid, mainData });
  const scanner = new WalScanner({ segmentSize: builder.segmentSize, startLsn: builder.startLsn });
  scanner.push(builder.bytes());
  const record = scanner.next();
  assert.ok(record !== null);
  return record;
}

const uint32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const int64 = (value: bigint) => Buffer.from(BigInt64Array.of(value).buffer);
/** 2026-11-23T05:17:51.123456Z, counted from 2000. */
const TIME = int64(1_795_411_071_123_456n - 946_684_800_000_000n);

describe('CRC-32C', () => {
  it('is the usual one, for every length, place and beginning', () => {
    assert.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3069283);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(600), fc.nat(600), (noise, from, cut) => {
        const bytes = Buffer.from(noise);
        const start = Math.min(from, bytes.length);
        const middle = Math.min(start + cut, bytes.length);
        const whole = referenceCrc32c(bytes.subarray(start));
        assert.equal(crc32c(bytes, middle, bytes.length, crc32c(bytes, start, middle)), whole);
      }),
    );
  });
});

describe('the end of a transaction', () => {
  it('of the plainest kind is a time', () => {
    const end = parseTransactionEnd(makeRecord(1, 0x00, TIME));
    assert.deepEqual(
      { ...end, at: formatTimestamp(end!.at) },
      {
        outcome: 'commit',
        wasPrepared: false,
        xid: 77,
        at: '2026-11-23T05:17:51.123456Z',
        databaseOid: null,
        subtransactions: 0,
        subtransactionXids: [],
        removedFiles: [],
        invalidatedRelations: [],
      },
    );
    assert.equal(parseTransactionEnd(makeRecord(1, 0x20, TIME))?.outcome, 'abort');
  });

  it('gives everything that may stand behind the time, in every version', () => {
    for (const [magic, statistic] of [
      [0xd110, 12],
      [0xd113, 12],
      [0xd116, 12],
      [0xd118, 16],
    ] as const) {
      const data = Buffer.concat([
        TIME,
        uint32(0b1_0001_1111),
        uint32(5, 1663),
        uint32(2, 78, 79),
        uint32(2, 1663, 5, 16384, 1700, 5, 16390),
        uint32(1),
        Buffer.alloc(statistic, 1),
        uint32(4),
        Buffer.alloc(16, 2),
        Buffer.from([0xfe, 0, 0, 0]),
        uint32(5, 16384, 0),
        Buffer.from([0xfe, 9, 9, 9]),
        uint32(5, 16384, 9),
        Buffer.from([0xfe, 0, 0, 0]),
        uint32(5, 0, 0),
        uint32(4711),
        Buffer.from('gid\0'),
      ]);
      const end = parseTransactionEnd(makeRecord(1, 0x80 | 0x30, data, magic, 0));
      assert.equal(end?.wasPrepared, true);
      assert.equal(end?.xid, 4711, magic.toString(16));
      assert.equal(end?.databaseOid, 5);
      assert.equal(end?.subtransactions, 2);
      assert.deepEqual(end?.subtransactionXids, [78, 79]);
      assert.deepEqual(end?.invalidatedRelations, [{ databaseOid: 5, relationOid: 16384 }]);
      assert.deepEqual(end?.removedFiles, [
        { tablespaceOid: 1663, databaseOid: 5, relationNumber: 16384 },
        { tablespaceOid: 1700, databaseOid: 5, relationNumber: 16390 },
      ]);
    }
  });

  it('of an abort has no invalidations', () => {
    const data = Buffer.concat([TIME, uint32(0b1_0000), uint32(4711)]);
    const end = parseTransactionEnd(makeRecord(1, 0x80 | 0x40, data));
    assert.deepEqual([end?.outcome, end?.wasPrepared, end?.xid], ['abort', true, 4711]);
  });

  it('is not seen in other records', () => {
    assert.equal(parseTransactionEnd(makeRecord(10, 0x00, TIME)), null);
    for (const info of [0x10, 0x50, 0x60]) assert.equal(parseTransactionEnd(makeRecord(1, info, TIME)), null);
  });

  it('that is cut or random gives a result or its own error', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 80 }),
        fc.constantFrom(0x80, 0xa0, 0xb0, 0),
        (noise, info) => {
          try {
            parseTransactionEnd(makeRecord(1, info, Buffer.from(noise)));
          } catch (error) {
            assert.ok(error instanceof HoldfastError && error.code === 'PG_WAL_RECORD_INVALID', String(error));
          }
        },
      ),
    );
    // A count that claims more than there is takes no memory.
    const greedy = Buffer.concat([TIME, uint32(0b100), uint32(0xffffffff)]);
    assert.throws(() => parseTransactionEnd(makeRecord(1, 0x80, greedy)), { code: 'PG_WAL_RECORD_INVALID' });
  });
});

describe('a prepared transaction', () => {
  it('is told with its name, in the layout of each version', () => {
    for (const [magic, headBytes, lengthAt] of [
      [0xd10d, 64, 46],
      [0xd110, 72, 54],
      [0xd118, 72, 54],
    ] as const) {
      const head = Buffer.alloc(headBytes);
      head.writeUInt32LE(4711, 8);
      head.writeUInt32LE(5, 12);
      TIME.copy(head, 16);
      head.writeUInt16LE(7, lengthAt);
      const data = Buffer.concat([head, Buffer.from('größ\0'), Buffer.alloc(20)]);
      const prepared = parsePreparedTransaction(makeRecord(1, 0x10, data, magic));
      assert.deepEqual(prepared, { xid: 4711, name: 'größ', databaseOid: 5, at: 1_795_411_071_123_456n });
    }
  });

  it('is not seen in other records, and refused when it is short', () => {
    assert.equal(parsePreparedTransaction(makeRecord(1, 0x00, TIME)), null);
    assert.equal(parsePreparedTransaction(makeRecord(0, 0x10, Buffer.alloc(88))), null);
    for (const bytes of [8, 71, 80]) {
      const head = Buffer.alloc(bytes, 0xff);
      assert.throws(() => parsePreparedTransaction(makeRecord(1, 0x10, head)), { code: 'PG_WAL_RECORD_INVALID' });
    }
  });
});

describe('databases and tablespaces', () => {
  it('are told when they come and go, by the numbers of each version', () => {
    const event = (manager: number, info: number, data: Buffer, magic?: number) =>
      parseStorageEvent(makeRecord(manager, info, data, magic));
    const created = { kind: 'database-created', databaseOid: 16400, tablespaceOid: 1663 };
    const dropped = { kind: 'database-dropped', databaseOid: 16400 };
    assert.deepEqual(event(4, 0x00, uint32(16400, 1663, 1, 1663), 0xd10d), created);
    assert.deepEqual(event(4, 0x10, uint32(16400, 1, 1663), 0xd10d), dropped);
    assert.deepEqual(event(4, 0x10, uint32(16400, 1663)), created);
    assert.deepEqual(event(4, 0x20, uint32(16400, 1, 1663)), dropped);
    assert.deepEqual(event(5, 0x00, Buffer.concat([uint32(16500), Buffer.from('/srv/ä\0')])), {
      kind: 'tablespace-created',
      tablespaceOid: 16500,
      path: '/srv/ä',
    });
    assert.deepEqual(event(5, 0x10, uint32(16500)), { kind: 'tablespace-dropped', tablespaceOid: 16500 });
    assert.equal(event(1, 0x00, TIME), null);
    assert.throws(() => event(4, 0x00, uint32(1)), { code: 'PG_WAL_RECORD_INVALID' });
  });
});

describe('records of the WAL itself', () => {
  it('tell checkpoints, restore points, ends of recovery and of backups, settings and switches', () => {
    const checkpoint = Buffer.concat([
      int64(0x174c9a0n),
      uint32(3, 2),
      Buffer.alloc(8),
      int64(0x2_0000_0309n),
      Buffer.alloc(32),
      int64(1_795_411_071n),
      Buffer.alloc(16),
    ]);
    assert.deepEqual(parseXlogEvent(makeRecord(0, 0x10, checkpoint)), {
      kind: 'checkpoint',
      isShutdown: false,
      redoLsn: 0x174c9a0n,
      timeline: 3,
      nextXid: 0x2_0000_0309n,
      at: 1_795_411_071_000_000n,
    });
    const point = Buffer.concat([TIME, Buffer.from('hällo\0'), Buffer.alloc(57)]);
    assert.deepEqual(parseXlogEvent(makeRecord(0, 0x70, point)), {
      kind: 'restore-point',
      name: 'hällo',
      at: 1_795_411_071_123_456n,
    });
    assert.deepEqual(parseXlogEvent(makeRecord(0, 0x90, Buffer.concat([TIME, uint32(4, 3)]))), {
      kind: 'end-of-recovery',
      timeline: 4,
      previousTimeline: 3,
      at: 1_795_411_071_123_456n,
    });
    assert.deepEqual(parseXlogEvent(makeRecord(0, 0x50, int64(5n))), { kind: 'backup-end', startLsn: 5n });
    const settings = parseXlogEvent(makeRecord(0, 0x60, uint32(100, 8, 10, 5, 64, 1, 0)));
    assert.deepEqual(settings, {
      kind: 'parameter-change',
      settings: {
        maxConnections: 100,
        maxWorkerProcesses: 8,
        maxWalSenders: 10,
        maxPreparedTransactions: 5,
        maxLocksPerTransaction: 64,
      },
      walLevel: 1,
    });
    assert.deepEqual(parseXlogEvent(makeRecord(0, 0x40, Buffer.alloc(0))), { kind: 'switch' });
  });

  it('are not seen in other records, and refused when they are short', () => {
    assert.equal(parseXlogEvent(makeRecord(1, 0x10, Buffer.alloc(88))), null);
    assert.equal(parseXlogEvent(makeRecord(0, 0xb0, Buffer.alloc(88))), null);
    for (const info of [0x00, 0x10, 0x50, 0x60, 0x70, 0x90]) {
      assert.throws(() => parseXlogEvent(makeRecord(0, info, Buffer.alloc(7))), { code: 'PG_WAL_RECORD_INVALID' });
    }
  });
});

describe('main data', () => {
  const header = Buffer.alloc(24);

  it('comes behind the heads and the data of all blocks', () => {
    const withImage = Buffer.concat([
      header,
      // Block 0 with an image of 5 bytes that has a hole and is compressed, 3 bytes of data, and its relation.
      ...[Buffer.of(0, 0x30, 3, 0), Buffer.of(5, 0, 0, 0, 0x05, 9, 0), Buffer.alloc(12), uint32(1)],
      // Block 1 of the same relation with 2 bytes of data; an origin; a top-level transaction.
      ...[Buffer.of(1, 0xa0, 2, 0), uint32(2), Buffer.of(253, 1, 0), Buffer.of(252, 1, 0, 0, 0)],
      ...[Buffer.of(255, 4), Buffer.alloc(5, 1), Buffer.alloc(3, 2), Buffer.alloc(2, 3), Buffer.from('main')],
    ]);
    assert.equal(findMainData(withImage, 18).toString(), 'main');
    // In 14 the flag 0x02 meant compression; later it means that the image is to be applied.
    const uncompressed = Buffer.concat([
      ...[header, Buffer.of(0, 0x10, 0, 0), Buffer.of(5, 0, 0, 0, 0x03), Buffer.alloc(12), uint32(1)],
      ...[Buffer.of(255, 4), Buffer.alloc(5, 1), Buffer.from('main')],
    ]);
    assert.equal(findMainData(uncompressed, 15).toString(), 'main');
    assert.throws(() => findMainData(uncompressed, 14), { code: 'PG_WAL_RECORD_INVALID' });
  });

  it('is empty where there is none', () => {
    assert.equal(findMainData(header, 18).length, 0);
  });

  it('of random records gives a result or its own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(14, 18, undefined), (noise, major) => {
        try {
          findMainData(Buffer.concat([header, noise]), major);
        } catch (error) {
          assert.ok(error instanceof HoldfastError && error.code === 'PG_WAL_RECORD_INVALID', String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
