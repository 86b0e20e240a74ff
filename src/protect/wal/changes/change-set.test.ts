import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ChangeSetMerger } from './change-set.ts';
import { ChangedBlocks } from './changed-blocks.ts';
import {
  decodeSegmentChanges,
  encodeSegmentChanges,
  type SegmentChanges,
  uniteSegmentChanges,
} from './segment-changes.ts';

type Event = { readonly relation: number; readonly fork: number; readonly block: number; readonly isLimit: boolean };

const TABLESPACE = 1663;
const DATABASE = 5;

const events = fc.array(
  fc.record({
    relation: fc.integer({ min: 1, max: 40 }),
    fork: fc.constantFrom(0, 0, 0, 2, 3),
    block: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 0xfffffffe })),
    isLimit: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  { maxLength: 400 },
);

function gather(told: readonly Event[], into = new ChangedBlocks()) {
  for (const { relation, fork, block, isLimit } of told) {
    if (isLimit)
      into.addLimit({ tablespaceOid: TABLESPACE, databaseOid: DATABASE, relationNumber: relation, fork, limit: block });
    else into.visitBlock(TABLESPACE, DATABASE, relation, fork, block);
  }
  return into.finish();
}

/** What the words of the page say, with sets and nothing clever. */
function model(told: readonly Event[]): string[] {
  const forks = new Map<string, { limit: number | null; blocks: Set<number> }>();
  for (const { relation, fork, block, isLimit } of told) {
    const key = `${relation}/${fork}`;
    const known = forks.get(key) ?? { limit: null, blocks: new Set<number>() };
    forks.set(key, known);
    if (!isLimit) known.blocks.add(block);
    else {
      known.limit = Math.min(known.limit ?? block, block);
      for (const old of known.blocks) if (old >= block) known.blocks.delete(old);
    }
  }
  return [...forks].map(([key, { limit, blocks }]) => `${key} ${limit} ${[...blocks].sort((a, b) => a - b)}`).sort();
}

function inWords(set: ReturnType<typeof gather>): string[] {
  return set
    .map(({ relationNumber, fork, limit, blocks }) => `${relationNumber}/${fork} ${limit} ${[...blocks]}`)
    .sort();
}

function ofSegment(first: bigint, set: ReturnType<typeof gather>, rest: Partial<SegmentChanges> = {}): SegmentChanges {
  return {
    first,
    segments: 1,
    timeline: 1,
    isHeadKnown: true,
    tail: { kind: 'none' },
    hasMinimal: false,
    set,
    ...rest,
  };
}

describe('change sets', () => {
  it('have what was told, limits in their order, and begin anew each time', () => {
    const blocks = new ChangedBlocks();
    fc.assert(fc.property(events, (told) => assert.deepEqual(inWords(gather(told, blocks)), model(told))));
  });

  it('of consecutive parts are put together to that of the whole, wherever it is divided', () => {
    const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 30 });
    fc.assert(
      fc.property(events, cuts, (told, cuts) => {
        const merger = new ChangeSetMerger();
        const borders = [0, ...cuts.map((cut) => Math.min(cut, told.length)).sort((a, b) => a - b), told.length];
        for (let i = 1; i < borders.length; i++) merger.add(gather(told.slice(borders[i - 1], borders[i])));
        assert.deepEqual(inWords(merger.finish()), model(told));
      }),
    );
  });

  it('are read as they were written, and take little for what is changed in a row', () => {
    fc.assert(
      fc.property(events, fc.boolean(), fc.boolean(), (told, isHeadKnown, hasMinimal) => {
        const reference = { tablespaceOid: 1, databaseOid: 2, relationNumber: 3, fork: 0, block: 0xfffffffe };
        for (const tail of [
          { kind: 'none' },
          { kind: 'unknown', lsn: 77n },
          { kind: 'known', references: [reference] },
        ] as const) {
          const changes = ofSegment(9n, gather(told), { isHeadKnown, hasMinimal, tail });
          assert.deepEqual(decodeSegmentChanges(encodeSegmentChanges(changes)), changes);
        }
      }),
    );
    const row = gather(
      Array.from({ length: 100_000 }, (_, block) => ({ relation: 1, fork: 0, block, isLimit: false })),
    );
    assert.ok(encodeSegmentChanges(ofSegment(1n, row)).length < 60);
  });

  it('are not read when they end too early or are of another version', () => {
    const bytes = encodeSegmentChanges(ofSegment(1n, gather([{ relation: 1, fork: 0, block: 3, isLimit: false }])));
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => decodeSegmentChanges(bytes.subarray(0, length)), { code: 'BYTES_TRUNCATED' });
    }
    assert.equal(decodeSegmentChanges(Buffer.concat([Buffer.from([2]), bytes.subarray(1)])), null);
  });

  it('take what reaches over a border from the tail before it, and are not put together where that is not known', () => {
    const reference = { tablespaceOid: TABLESPACE, databaseOid: DATABASE, relationNumber: 8, fork: 0, block: 4 };
    const one = gather([{ relation: 1, fork: 0, block: 3, isLimit: false }]);
    const known = { kind: 'known', references: [reference] } as const;
    const united = (first: Partial<SegmentChanges>, second: Partial<SegmentChanges>) =>
      uniteSegmentChanges([ofSegment(4n, one, first), ofSegment(5n, one, second)]);
    assert.deepEqual(inWords(united({ tail: known }, { isHeadKnown: false })!.set), ['1/0 null 3', '8/0 null 4']);
    // The record was never completed, or the scan went on and told it.
    assert.deepEqual(inWords(united({ tail: known }, {})!.set), ['1/0 null 3']);
    assert.equal(united({ tail: { kind: 'unknown', lsn: 1n } }, { isHeadKnown: false }), null);
    assert.equal(united({}, { isHeadKnown: false }), null);
    assert.equal(united({}, { first: 6n }), null);
    assert.equal(united({}, { timeline: 2 }), null);
    assert.equal(united({ hasMinimal: true }, {})!.hasMinimal, true);
  });
});
