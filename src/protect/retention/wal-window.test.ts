import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lineageId, makeFacts, makeInput, makeLineage } from '../../../test/support/retention/facts.ts';
import type { LineageFacts, SnapshotFacts } from './index.ts';
import { applyPolicy } from './index.ts';

const DAY = 86_400_000;
const NOW = 100 * DAY;

/** A snapshot of day `day`, whose WAL begins at 1000 for each day. */
function onDay(
  day: number,
  changes: Partial<SnapshotFacts> & { lineage?: string; timeline?: number } = {},
): SnapshotFacts {
  const { lineage = 'a', timeline = 1, ...rest } = changes;
  const wal = {
    system: '71',
    lineage: lineageId(lineage),
    timeline,
    start: BigInt(day * 1000),
    end: BigInt(day * 1000 + 10),
  };
  return makeFacts(day, day * DAY, { wal, ...rest });
}

/** What is decided with a window of ten days and nothing else that keeps; the newest is of today, so that nothing is refused. */
function decide(snapshots: readonly SnapshotFacts[], lineages: readonly LineageFacts[]) {
  const decision = applyPolicy(makeInput({ now: NOW, rules: { wal: 10 * DAY }, snapshots, lineages }));
  assert.equal(decision.refusal, null);
  return {
    kept: decision.keep.map(({ snapshot }) => snapshot.storedAt / DAY),
    wal: decision.wal.map(({ lineage, from, to }) => [
      Buffer.from(lineage, 'hex').toString().replaceAll('\0', ''),
      from,
      to,
    ]),
    since: decision.reachableSince === null ? null : decision.reachableSince / DAY,
    decision,
  };
}

const alive = (name: string, changes: Partial<LineageFacts> = {}) => makeLineage(name, { grewAt: NOW, ...changes });
const way = (...stretches: [timeline: number, to: bigint | null][]) =>
  stretches.map(([timeline, to]) => ({ timeline, to }));

describe('the window of point-in-time recovery', () => {
  it('begins with the newest sound snapshot older than its start, whose WAL stays from there on', () => {
    const { kept, wal, since } = decide(
      [70, 85, 89, 95, 100].map((day) => onDay(day)),
      [alive('a')],
    );
    assert.deepEqual(kept, [100, 89]);
    assert.deepEqual(wal, [['a', 89_000n, null]]);
    assert.equal(since, 89);
  });

  it('does not begin with a doubtful one, nor with one of which nothing was attested', () => {
    const snapshots = [onDay(80), onDay(88, { level: null }), onDay(89, { doubts: ['damaged'] }), onDay(100)];
    const { kept, wal } = decide(snapshots, [alive('a')]);
    assert.deepEqual([kept, wal], [[100, 80], [['a', 80_000n, null]]]);
  });

  it('begins with the oldest that there is, when none is as old as it should be, and says since when', () => {
    const { kept, wal, since } = decide(
      [94, 97, 100].map((day) => onDay(day)),
      [alive('a')],
    );
    assert.deepEqual([kept, wal, since], [[100, 94], [['a', 94_000n, null]], 94]);
  });

  it('leaves the WAL of its own range to a snapshot that stays for another reason', () => {
    const snapshots = [onDay(40, { tags: ['release'] }), onDay(60), onDay(89), onDay(100)];
    const rules = { wal: 10 * DAY, keepTags: ['release'] };
    const { wal, forget } = applyPolicy(makeInput({ now: NOW, rules, snapshots, lineages: [alive('a')] }));
    assert.deepEqual(
      wal.map(({ from, to }) => [from, to]),
      [
        [40_000n, 40_010n],
        [89_000n, null],
      ],
    );
    assert.deepEqual(
      forget.map(({ snapshot }) => snapshot.storedAt / DAY),
      [60],
    );
  });

  it('reaches back into the parent of a lineage, up to the fork, and never beyond', () => {
    const parent = makeLineage('a', { grewAt: 95 * DAY });
    const fork = { lineage: lineageId('a'), forkTimeline: 1, forkLsn: 95_000n };
    const child = alive('b', { parent: fork, beganAt: 95 * DAY });
    const snapshots = [onDay(80), onDay(88), onDay(97, { lineage: 'b' }), onDay(100, { lineage: 'b' })];
    const { kept, wal, since, decision } = decide(snapshots, [child, parent]);
    assert.deepEqual(kept, [100, 88]);
    // What the parent wrote behind the fork lies in the window as well, and is reached from the same snapshot.
    assert.deepEqual(wal, [
      ['a', 88_000n, null],
      ['b', 0n, null],
    ]);
    assert.equal(since, 88);
    assert.match(decision.keep.at(-1)!.sentence, /window of point-in-time recovery/);
    const long = makeLineage('a', { grewAt: 80 * DAY });
    const older = decide(
      snapshots.filter(({ storedAt }) => storedAt !== 88 * DAY),
      [child, long],
    );
    assert.deepEqual(older.wal, [
      ['a', 80_000n, 95_000n],
      ['b', 0n, null],
    ]);
  });

  it('does not begin with a snapshot of the parent that ended behind the fork', () => {
    const fork = { lineage: lineageId('a'), forkTimeline: 1, forkLsn: 85_000n };
    const lineages = [makeLineage('a', { grewAt: 86 * DAY }), alive('b', { parent: fork, beganAt: 87 * DAY })];
    const { kept, wal } = decide([onDay(70), onDay(85), onDay(100, { lineage: 'b' })], lineages);
    assert.deepEqual(kept, [100, 70]);
    assert.deepEqual(wal, [
      ['a', 70_000n, 85_000n],
      ['b', 0n, null],
    ]);
  });

  it('crosses no fork of which no shared position was proved, and keeps all WAL that nothing leads into', () => {
    const fork = { lineage: lineageId('a'), forkTimeline: 1, forkLsn: 0n };
    const lineages = [makeLineage('a', { grewAt: 99 * DAY }), alive('b', { parent: fork, beganAt: 99 * DAY })];
    const { kept, wal, since, decision } = decide([onDay(80), onDay(99)], lineages);
    assert.deepEqual(kept, [99, 80]);
    assert.deepEqual(wal, [
      ['a', 80_000n, null],
      ['b', 0n, null],
    ]);
    assert.equal(since, 80);
    assert.match(decision.wal[1]!.reasons.join(), /no good snapshot leads into it yet/);
  });

  it('follows timelines as the histories have them, not by their numbers', () => {
    // Timeline 4 left timeline 2 at 90500; timeline 3 is another branch of it.
    const paths = new Map([
      [1, way([1, null])],
      [2, way([1, 50_000n], [2, null])],
      [4, way([1, 50_000n], [2, 90_500n], [4, null])],
    ]);
    const lineage = alive('a', { newestTimeline: 4, paths });
    const snapshots = [
      ...[onDay(49), onDay(84, { timeline: 2 }), onDay(88, { timeline: 3 }), onDay(89, { timeline: 3 })],
      ...[onDay(91, { timeline: 2 }), onDay(100, { timeline: 4 })],
    ];
    assert.deepEqual(decide(snapshots, [lineage]).kept, [100, 84]);
    const onSwitch = decide([onDay(49), onDay(50), onDay(100, { timeline: 4 })], [lineage]);
    assert.deepEqual(onSwitch.kept, [100, 49], 'the one of day 50 ended behind the switch');
  });

  it('keeps all WAL of a lineage whose histories are not all there', () => {
    const lineage = alive('a', { newestTimeline: 2 });
    assert.deepEqual(decide([onDay(80), onDay(100)], [lineage]).wal, [['a', 0n, null]]);
  });

  it('keeps the first sound snapshot behind each hole in the WAL, as nothing else leads behind it', () => {
    const gaps = [
      { start: 60_000n, end: 61_000n },
      { start: 92_000n, end: 92_500n },
      { start: 97_000n, end: 97_001n },
    ];
    const snapshots = [50, 89, 91, 92, 94, 96, 98, 99, 100].map((day) =>
      onDay(day, day === 94 ? { doubts: ['damaged'] } : {}),
    );
    const { kept, decision } = decide(snapshots, [alive('a', { gaps })]);
    assert.deepEqual(kept, [100, 98, 96, 89]);
    assert.match(decision.keep[1]!.sentence, /first behind the hole in the WAL that ends at 0\/17AE9/);
  });

  it('forgets the WAL of a lineage that ended before it, but for the snapshots that stay', () => {
    const old = makeLineage('old', { system: '70', grewAt: 80 * DAY });
    const snapshots = [
      onDay(78, { lineage: 'old', tags: ['release'] }),
      onDay(79, { lineage: 'old' }),
      onDay(85),
      onDay(100),
    ];
    const rules = { wal: 10 * DAY, keepTags: ['release'] };
    const { wal, keep } = applyPolicy(makeInput({ now: NOW, rules, snapshots, lineages: [old, alive('a')] }));
    assert.deepEqual(
      keep.map(({ snapshot }) => snapshot.storedAt / DAY),
      [100, 85, 78],
    );
    assert.deepEqual(
      wal.map(({ from, to }) => [from, to]),
      [
        [85_000n, null],
        [78_000n, 78_010n],
      ],
    );
  });

  it('keeps the present lineage although nothing was written for longer than the window', () => {
    const { kept, wal } = decide([onDay(60), onDay(100)], [alive('a', { grewAt: 60 * DAY })]);
    assert.deepEqual([kept, wal], [[100, 60], [['a', 60_000n, null]]]);
  });

  it('is not led in circles by lineages that name each other as parents', () => {
    const parentOf = (lineage: string) => ({ lineage: lineageId(lineage), forkTimeline: 1, forkLsn: 99_000n });
    const lineages = [alive('a', { parent: parentOf('b') }), alive('b', { parent: parentOf('a') })];
    const { kept } = decide([onDay(80), onDay(88, { lineage: 'b' }), onDay(100)], lineages);
    assert.deepEqual(kept, [100, 88]);
  });

  it('is the newest sound snapshot and what follows, where the plan names no window', () => {
    const { wal } = applyPolicy(
      makeInput({
        now: NOW,
        rules: { daily: 2 },
        snapshots: [98, 99, 100].map((day) => onDay(day)),
        lineages: [alive('a')],
      }),
    );
    assert.deepEqual(
      wal.map(({ from, to }) => [from, to]),
      [
        [99_000n, 99_010n],
        [100_000n, null],
      ],
    );
  });
});
