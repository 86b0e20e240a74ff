import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  fragmentObjectName,
  historyObjectName,
  lineageObjectName,
  parseWalObjectName,
  segmentObjectName,
} from './object-names.ts';

const place = { system: '7711238034387564599', lineage: 'ab'.repeat(32) };
const under = `wal/${place.system}/${place.lineage}`;

describe('names of WAL objects', () => {
  it('are as the design says', () => {
    assert.equal(lineageObjectName(place), `${under}/lineage`);
    assert.equal(segmentObjectName(place, '0000000100000000000000A1'), `${under}/segments/0000000100000000000000A1`);
    assert.equal(historyObjectName(place, 27), `${under}/history/0000001B.history`);
    const fragment = { timeline: 27, start: 0x1_2345_6780n, end: 0x1_2345_6abcn, receiver: '0123456789abcdef' };
    const name = `${under}/fragments/0000001b.0000000123456780.0000000123456abc.0123456789abcdef`;
    assert.equal(fragmentObjectName(place, fragment), name);
  });

  it('are read back as what they were written from', () => {
    const lsn = fc.bigInt(0n, (1n << 64n) - 2n);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffffffff }), lsn, lsn, (timeline, a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a + 1n];
        const fragment = { timeline, start, end, receiver: '00112233445566ff' };
        assert.deepEqual(parseWalObjectName(fragmentObjectName(place, fragment)), {
          ...place,
          kind: 'fragment',
          fragment,
        });
        assert.deepEqual(parseWalObjectName(historyObjectName(place, timeline)), {
          ...place,
          kind: 'history',
          timeline,
        });
      }),
    );
    assert.deepEqual(parseWalObjectName(lineageObjectName(place)), { ...place, kind: 'lineage' });
  });

  it('sort fragments in the order of the WAL', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 1n << 60n), fc.bigInt(0n, 1n << 60n), (a, b) => {
        const [one, two] = [a, b].map((start) =>
          fragmentObjectName(place, { timeline: 1, start, end: start + 1n, receiver: '0'.repeat(16) }),
        );
        assert.equal(one! < two!, a < b);
      }),
    );
  });

  const foreign = [
    `${under}/segments/0000000100000000000000a1`,
    `${under}/segments/0000000100000000000000A1.partial`,
    `${under}/segments`,
    `${under}/lineage/x`,
    `${under}/history/00000000.history`,
    `${under}/fragments/00000001.0000000000000002.0000000000000001.0123456789abcdef`,
    `${under}/fragments/00000000.0000000000000001.0000000000000002.0123456789abcdef`,
    `wal/x/${place.lineage}/lineage`,
    `wal/${place.system}/short/lineage`,
    'packs/00',
  ];
  for (const name of foreign) {
    it(`say nothing when they are like "${name.replace(under, '…')}"`, () =>
      assert.equal(parseWalObjectName(name), null));
  }
});
