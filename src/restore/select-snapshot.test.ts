import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { at, makeInventory, makeLineage, makeSnapshot, nameToId } from '../../test/support/wal-inventory.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import { reachableRanges, selectSnapshots } from './select-snapshot.ts';
import { routeEnd, routeTo } from './wal-route.ts';

/** WAL from 1 to 20 with a hole between 8 and 10. */
const lineage = makeLineage({
  name: 'main',
  timelines: {
    1: [
      [1, 8],
      [10, 20],
    ],
  },
});
const route = routeTo(makeInventory(lineage), lineage);
const snapshot = (name: string, wal: [number, number]) => makeSnapshot({ name, lineage: 'main', wal });

const early = snapshot('early', [2, 3]);
const middle = snapshot('middle', [5, 6]);
const overHole = snapshot('over hole', [7, 10.5]);
const late = snapshot('late', [12, 13]);
const all = [early, middle, overHole, late];

function choose(target: RecoveryTarget, exclusive = false) {
  const { candidates, rejected } = selectSnapshots({ snapshots: all, route, target, exclusive });
  return {
    candidates: candidates.map((candidate) => candidate.snapshot.id),
    reasons: new Map(rejected.map((rejection) => [rejection.snapshot.id, rejection.reason])),
  };
}

describe('the choice of a snapshot', () => {
  it('tries the newest first that was complete before the position and from which WAL leads there', () => {
    assert.deepEqual(choose({ kind: 'lsn', lsn: at(7) }).candidates, [middle.id, early.id]);
    assert.deepEqual(choose({ kind: 'lsn', lsn: at(15) }).candidates, [late.id]);
  });

  it('gives the reason for each that is passed over', () => {
    const { reasons } = choose({ kind: 'lsn', lsn: at(15) });
    assert.match(reasons.get(early.id) ?? '', /its WAL ends without the target, at 0\/800000/);
    assert.match(reasons.get(overHole.id) ?? '', /needs up to 0\/A80000 is missing from 0\/800000 on/);
    assert.match(
      choose({ kind: 'lsn', lsn: at(4) }).reasons.get(late.id) ?? '',
      /complete only at 0\/D00000, after the target/,
    );
  });

  it('takes the end of a backup itself as a position, but none before', () => {
    assert.ok(choose({ kind: 'lsn', lsn: at(13) }, true).candidates.includes(late.id));
    assert.ok(!choose({ kind: 'lsn', lsn: at(13) - 1n }, true).candidates.includes(late.id));
  });

  it('passes over a snapshot whose own WAL has a hole also for the latest, and says so', () => {
    const { candidates, reasons } = choose({ kind: 'latest' });
    assert.deepEqual(candidates, [late.id, middle.id, early.id]);
    assert.deepEqual([...reasons.keys()], [overHole.id]);
  });

  it('never offers one that cannot reach the position, and never passes over the newest that can', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 22 * 64 }), fc.boolean(), (sixtyFourths, exclusive) => {
        const lsn = at(sixtyFourths / 64);
        const { candidates } = choose({ kind: 'lsn', lsn }, exclusive);
        for (const candidate of all) {
          const reach = routeEnd(route, candidate.start);
          const canReach = reach >= candidate.end && candidate.end <= lsn && lsn <= reach;
          if (canReach) assert.ok(candidates.includes(candidate.id));
          if (exclusive && !canReach) assert.ok(!candidates.includes(candidate.id));
        }
        const ends = candidates.map((id) => all.find((candidate) => candidate.id === id)!.end);
        assert.deepEqual(
          ends,
          ends.toSorted((a, b) => (a < b ? 1 : -1)),
        );
      }),
    );
  });
});

describe('what can be reached', () => {
  it('is told as one range for all snapshots that share their WAL', () => {
    const ranges = reachableRanges(all, route);
    assert.deepEqual(
      ranges.map(({ from, to, snapshot: oldest }) => [from, to, oldest.id]),
      [
        [at(3), at(8), nameToId('early')],
        [at(13), at(20), nameToId('late')],
      ],
    );
  });
});
