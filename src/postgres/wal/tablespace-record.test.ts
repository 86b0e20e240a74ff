import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { WalScanner } from './scanner.ts';
import { isOfExtension, parseTablespaceCreation } from './tablespace-record.ts';

/** The main data of a CREATE TABLESPACE. */
function creation(oid: number, path: string): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(oid);
  return Buffer.concat([head, Buffer.from(`${path}\0`)]);
}

describe('records of tablespaces', () => {
  it('are read with OID and path, also of one in the data directory; others are passed over', () => {
    const builder = new WalBuilder();
    builder.append({ resourceManager: 5, info: 0x00, mainData: creation(16400, '/fast disk/pg') });
    builder.append({ resourceManager: 5, info: 0x00, mainData: creation(16401, '') });
    builder.append({ resourceManager: 5, info: 0x10, mainData: creation(16400, '').subarray(0, 4) });
    builder.append({ resourceManager: 128, info: 0x00, mainData: creation(1, 'of an extension') });
    const scanner = new WalScanner({ segmentSize: builder.segmentSize, startLsn: builder.startLsn });
    scanner.push(builder.bytes());
    const found: unknown[] = [];
    for (let record = scanner.next(); record !== null; record = scanner.next()) {
      found.push([parseTablespaceCreation(record), isOfExtension(record)]);
    }
    assert.deepEqual(found, [
      [{ oid: 16400, path: '/fast disk/pg' }, false],
      [{ oid: 16401, path: '' }, false],
      [null, false],
      [null, true],
    ]);
  });
});
