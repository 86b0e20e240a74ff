import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  checkSegmentSize,
  formatHistoryName,
  formatSegmentName,
  parseSegmentName,
  parseWalFileName,
  segmentNameAt,
  segmentNumberOf,
  segmentOffsetOf,
  segmentStartOf,
} from './segment-name.ts';

const MIB = 1024 * 1024;
const sizes = fc.integer({ min: 0, max: 10 }).map((power) => MIB * 2 ** power);
const lsns = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
const timelines = fc.integer({ min: 1, max: 0xffffffff });

describe('WAL segment name', () => {
  it('is the one that pg_walfile_name gives', () => {
    assert.equal(segmentNameAt(1, 0x16b374d848n, 16 * MIB), '0000000100000016000000B3');
    assert.equal(segmentNameAt(1, 0x16b374d848n, MIB), '000000010000001600000B37');
    assert.equal(segmentNameAt(0xabc, 0x16b374d848n, 1024 * MIB), '00000ABC0000001600000002');
    assert.equal(segmentNameAt(1, 0x1000000n, 16 * MIB), '000000010000000000000001');
  });

  it('tells timeline, number and start again, for every segment size', () => {
    fc.assert(
      fc.property(timelines, lsns, sizes, (timeline, lsn, size) => {
        const number = segmentNumberOf(lsn, size);
        const parsed = parseSegmentName(formatSegmentName(timeline, number, size), size);
        assert.deepEqual(parsed, { timeline, number, startLsn: segmentStartOf(lsn, size) });
        assert.equal(parsed.startLsn + BigInt(segmentOffsetOf(lsn, size)), lsn);
      }),
    );
  });

  it('refuses a name that no segment of the given size can have', () => {
    const wrong = ['000000010000001600000100', '000000000000001600000001', '0000000100000016000000B', 'x'.repeat(24)];
    for (const name of wrong) {
      assert.throws(() => parseSegmentName(name, 16 * MIB), { code: 'PG_WAL_NAME_INVALID' }, name);
    }
    assert.equal(parseSegmentName('000000010000001600000100', MIB).number, 0x16100n);
  });

  it('refuses sizes that PostgreSQL does not know', () => {
    for (const size of [0, 1, MIB / 2, 3 * MIB, 2048 * MIB, 1.5 * MIB, Number.NaN, -MIB]) {
      assert.throws(() => checkSegmentSize(size), { code: 'PG_WAL_SEGMENT_SIZE_INVALID' }, String(size));
    }
  });

  it('refuses a timeline or a number that is out of range', () => {
    assert.throws(() => formatSegmentName(0, 1n, MIB), { code: 'PG_WAL_NAME_INVALID' });
    assert.throws(() => formatSegmentName(1.5, 1n, MIB), { code: 'PG_WAL_NAME_INVALID' });
    assert.throws(() => formatSegmentName(1, -1n, MIB), { code: 'PG_WAL_NAME_INVALID' });
    assert.throws(() => formatSegmentName(1, 1n << 44n, MIB), { code: 'PG_WAL_NAME_INVALID' });
  });
});

describe('names of files in pg_wal', () => {
  it('tell what the file is', () => {
    const segment = { timeline: 2, number: 5n, startLsn: 5n * 16n * BigInt(MIB) };
    const read = (name: string) => parseWalFileName(name, 16 * MIB);
    assert.deepEqual(read('000000020000000000000005'), { kind: 'segment', segment });
    assert.deepEqual(read('000000020000000000000005.partial'), { kind: 'partial-segment', segment });
    assert.deepEqual(read('0000000A.history'), { kind: 'timeline-history', timeline: 10 });
    assert.deepEqual(read('000000020000000000000005.00000028.backup'), {
      kind: 'backup-history',
      segment,
      startLsn: segment.startLsn + 0x28n,
    });
    assert.equal(formatHistoryName(10), '0000000A.history');
  });

  it('are refused when they are anything else', () => {
    const wrong = [
      '',
      'archive_status',
      '00000000.history',
      '000000020000000000000005.tmp',
      '000000020000000000000005.01000000.backup',
      '000000020000000000000005.partial.partial',
      '../000000020000000000000005',
    ];
    for (const name of wrong) {
      assert.throws(() => parseWalFileName(name, 16 * MIB), { code: 'PG_WAL_NAME_INVALID' }, name);
    }
  });
});
