import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ForkChanges } from '../../wal/index.ts';
import type { SentFile } from '../increment/index.ts';
import { compareChangeSet } from './compare-change-set.ts';

const NAME = { tablespaceOid: 1663, databaseOid: 5, relationNumber: 16384, fork: 0 };
const SEGMENT_BLOCKS = 131_072;

function changed(blocks: number[], limit: number | null = null, rest: Partial<ForkChanges> = {}): ForkChanges {
  return { ...NAME, limit, blocks: Uint32Array.from(blocks), ...rest };
}

function sent(blocks: number[], truncationLength: number, segment = 0): SentFile {
  const path = segment === 0 ? 'data/base/5/16384' : `data/base/5/16384.${segment}`;
  const file = { tablespace: 1663, database: 5, relation: 16384, fork: 'main', segment } as const;
  const blockCount = Math.max(truncationLength, (blocks.at(-1) ?? -1) + 1);
  return { file, path, blockCount, changes: { blocks: Uint32Array.from(blocks), truncationLength } };
}

function compare(set: ForkChanges[], files: SentFile[], baseBlocks = 1000, later: ForkChanges[] | null = []): string[] {
  const { first, count } = compareChangeSet(set, files, { baseBlocks: () => baseBlocks, later, findingsMax: 100 });
  assert.equal(first.length, Math.min(100, count));
  return first.map(({ kind, block }) => `${kind} ${block}`);
}

describe('an increment held against a change set', () => {
  it('may have more blocks than the WAL changes, never fewer', () => {
    assert.deepEqual(compare([changed([3, 7])], [sent([3, 5, 7], 10)]), []);
    assert.deepEqual(compare([changed([3, 7, 9])], [sent([3, 5], 10)]), ['not-sent 7', 'not-sent 9']);
    assert.deepEqual(compare([changed([3])], [sent([], 10)]), ['not-sent 3']);
    assert.deepEqual(compare([], [sent([], 10)]), []);
  });

  it('need not have what the file has no longer', () => {
    assert.deepEqual(compare([changed([3, 10, 11])], [sent([3], 10)]), []);
    // Cut at 8 in the range: the truncation length says 8, and the file is shorter only where it was cut once more while it was sent.
    assert.deepEqual(compare([changed([3, 5], 8)], [sent([3], 8)]), ['not-sent 5']);
    assert.deepEqual(compare([changed([3, 5], 8)], [sent([3], 8)], 1000, [changed([], 5)]), []);
    assert.deepEqual(compare([changed([3, 5], 8)], [sent([3], 8)], 1000, [changed([], 6)]), ['not-sent 5']);
    assert.deepEqual(compare([changed([3, 5], 8)], [sent([3], 8)], 1000, [changed([5])]), ['not-sent 5']);
    assert.deepEqual(compare([changed([3, 5], 8)], [sent([3], 8)], 1000, null), [], 'it is not known whether it was');
    const cutBehind = changed([3, 5], SEGMENT_BLOCKS + 8);
    assert.deepEqual(compare([cutBehind], [sent([3], SEGMENT_BLOCKS)], 1000, [changed([], 5)]), []);
    assert.deepEqual(compare([cutBehind], [sent([3], SEGMENT_BLOCKS)]), ['not-sent 5']);
    assert.deepEqual(compare([changed([3, 5], 8)], [sent([6], 8)]), ['not-sent 3', 'not-sent 5']);
    // Behind the truncation length the file has what was sent, and zeros before that.
    assert.deepEqual(compare([changed([5, 6], 5)], [sent([6], 5)]), ['not-sent 5']);
  });

  it('has no file that was made anew, or whose database was, or that was cut before it begins', () => {
    assert.deepEqual(compare([changed([0], 0)], [sent([0], 4)]), ['not-whole 0']);
    const database = changed([], 0, { relationNumber: 0 });
    assert.deepEqual(compare([database], [sent([0], 4)]), ['not-whole 0']);
    assert.deepEqual(compare([changed([], 500)], [sent([], 4, 1)]), [`not-whole ${SEGMENT_BLOCKS}`]);
    assert.deepEqual(compare([{ ...database, databaseOid: 6 }], [sent([0], 4)]), []);
  });

  it('has every block that was cut off and is there again, where the base has one', () => {
    assert.deepEqual(compare([changed([6], 5)], [sent([6], 9)]), ['regrown 5', 'regrown 7', 'regrown 8']);
    assert.deepEqual(compare([changed([6], 5)], [sent([5, 6, 7, 8], 9)]), []);
    assert.deepEqual(compare([changed([6], 5)], [sent([7], 9)]), ['not-sent 6', 'regrown 5', 'regrown 8']);
    assert.deepEqual(compare([changed([6], 5)], [sent([6], 9)], 6), ['regrown 5']);
    assert.deepEqual(compare([changed([6], 5)], [sent([6], 9)], 5), []);
  });

  it('says how many findings are not of blocks behind a cut that a record names', () => {
    const unexplained = (set: ForkChanges[], files: SentFile[]) =>
      compareChangeSet(set, files, { baseBlocks: () => 6, later: [] }).unexplained;
    assert.equal(unexplained([changed([6, 8], 6)], [sent([], 9)]), 0);
    assert.equal(unexplained([changed([3, 6, 8], 6)], [sent([], 9)]), 1);
    assert.equal(unexplained([changed([3])], [sent([], 9)]), 1);
    assert.equal(unexplained([changed([7], 5)], [sent([], 9)]), 1, 'block 5 is regrown');
    assert.equal(unexplained([changed([1], 0)], [sent([], 9)]), 1, 'it is not whole');
    assert.equal(unexplained([changed([SEGMENT_BLOCKS + 7], SEGMENT_BLOCKS + 6)], [sent([], 9, 1)]), 0);
  });

  it('counts blocks from the start of the fork, whatever file they lie in', () => {
    const set = [changed([SEGMENT_BLOCKS - 1, SEGMENT_BLOCKS, SEGMENT_BLOCKS + 4])];
    assert.deepEqual(compare(set, [sent([4], 10, 1), sent([SEGMENT_BLOCKS - 1], SEGMENT_BLOCKS)]), [
      `not-sent ${SEGMENT_BLOCKS}`,
    ]);
  });

  it('is not looked at where a file came whole, or is of another relation or fork', () => {
    const whole: SentFile = { ...sent([], 10), changes: null };
    assert.deepEqual(compare([changed([3], 0)], [whole]), []);
    assert.deepEqual(compare([changed([3], null, { relationNumber: 9 })], [sent([], 10)]), []);
    assert.deepEqual(compare([changed([3], null, { fork: 3 })], [sent([], 10)]), []);
  });

  it('lacks exactly what is taken out of it', () => {
    const blocks = fc.uniqueArray(fc.nat({ max: 300 }), { minLength: 1 }).map((all) => all.sort((a, b) => a - b));
    fc.assert(
      fc.property(blocks, fc.nat(), (all, at) => {
        const lost = all[at % all.length]!;
        const kept = all.filter((block) => block !== lost);
        assert.deepEqual(compare([changed(all)], [sent(kept, 301)]), [`not-sent ${lost}`]);
        assert.deepEqual(compare([changed(all)], [sent(all, 301)]), []);
      }),
    );
  });
});
