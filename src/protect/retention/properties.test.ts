import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { lineageId, makeFacts, makeInput, makeLineage } from '../../../test/support/retention/facts.ts';
import { applyPolicy, type PolicyInput, type SnapshotFacts, type WalNeed } from './index.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 2, 29, 12);

const count = fc.constantFrom(0, 0, 1, 2, 3, 7);
const rules = fc.record({
  keepWithin: fc.constantFrom(null, HOUR, 3 * DAY, 20 * DAY),
  ...{ hourly: count, daily: count, weekly: count, monthly: count, yearly: count },
  keepAtLeast: fc.integer({ min: 1, max: 6 }),
  keepTags: fc.constantFrom([], ['release']),
  timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata'),
  wal: fc.constantFrom(null, 0, 5 * DAY),
});

/** A snapshot at so many minutes before now, in one of three lineages that descend from each other. */
const snapshot = fc.record({
  age: fc.oneof(fc.nat(3 * 24 * 60), fc.nat(90 * 24 * 60), fc.nat(1500 * 24 * 60)),
  level: fc.constantFrom(null, 'stored', 'verified', 'proven', 'stored', 'stored'),
  doubts: fc.constantFrom<string[]>([], [], [], ['damage']),
  tags: fc.constantFrom<string[]>([], [], [], [], ['release']),
});

const history = fc
  .array(snapshot, { maxLength: 60 })
  .map((drawn) => [
    ...drawn.map(({ age, level, doubts, tags }, index) => factsAt(index, NOW - age * MINUTE, { level, doubts, tags })),
    factsAt(999, NOW, {}),
  ]);

const FORKS = [NOW - 400 * DAY, NOW - 4 * DAY] as const;

function factsAt(number: number, at: number, changes: Partial<SnapshotFacts>): SnapshotFacts {
  const lineage = at < FORKS[0] ? 'a' : at < FORKS[1] ? 'b' : 'c';
  const wal = { system: '71', lineage: lineageId(lineage), timeline: 1, start: BigInt(at - MINUTE), end: BigInt(at) };
  return makeFacts(number, at, { wal, ...changes });
}

const parentOf = (lineage: string, at: number) => ({
  lineage: lineageId(lineage),
  forkTimeline: 1,
  forkLsn: BigInt(at),
});
const lineages = [
  makeLineage('a', { grewAt: FORKS[0] }),
  makeLineage('b', { parent: parentOf('a', FORKS[0]), beganAt: FORKS[0], grewAt: FORKS[1] }),
  makeLineage('c', { parent: parentOf('b', FORKS[1]), beganAt: FORKS[1], grewAt: NOW }),
];

const inputs = fc
  .tuple(rules, history)
  .map(([drawn, snapshots]) => makeInput({ now: NOW, rules: drawn, snapshots, lineages }));

const isSound = ({ level, doubts }: SnapshotFacts) => level !== null && doubts.length === 0;
const ids = (entries: readonly { snapshot: SnapshotFacts }[]) => entries.map(({ snapshot }) => snapshot.id);

/** `check` is told every input; a failure prints its seed and path. */
function hold(check: (input: PolicyInput) => void): void {
  fc.assert(fc.property(inputs, check), { numRuns: 300 });
}

function isCovered(wal: readonly WalNeed[], lineage: string, from: bigint, to: bigint | null): boolean {
  return wal.some(
    (need) =>
      need.lineage === lineageId(lineage) && need.from <= from && (need.to === null || (to !== null && need.to >= to)),
  );
}

describe('every decision', () => {
  it('speaks of each snapshot once, with a sentence', () => {
    hold((input) => {
      const { keep, forget, refusal } = applyPolicy(input);
      assert.equal(refusal, null);
      assert.deepEqual([...ids(keep), ...ids(forget)].sort(), input.snapshots.map(({ id }) => id).sort());
      for (const { sentence, reasons } of keep) assert.ok(reasons.length > 0 && /^Stays: .+\.$/.test(sentence));
      for (const { reason } of forget) assert.match(reason, /^Goes, as .+\.$/);
    });
  });

  it('is the same in whatever order the facts come', () => {
    fc.assert(
      fc.property(inputs, fc.infiniteStream(fc.nat(1_000_000)), (input, keys) => {
        const keyed = input.snapshots.map((each) => ({ each, key: keys.next().value as number }));
        const snapshots = keyed.sort((a, b) => a.key - b.key).map(({ each }) => each);
        assert.deepEqual(applyPolicy({ ...input, snapshots, lineages: [...lineages].reverse() }), applyPolicy(input));
      }),
    );
  });

  it('leaves the newest sound ones, as many as are always to stay, the newest proven one and every tagged one', () => {
    hold((input) => {
      const kept = new Set(ids(applyPolicy(input).keep));
      const newest = [...input.snapshots]
        .sort((a, b) => b.storedAt - a.storedAt || (a.id < b.id ? 1 : -1))
        .filter(isSound);
      for (const { id } of newest.slice(0, input.rules.keepAtLeast)) assert.ok(kept.has(id));
      const proven = newest.find(({ level }) => level === 'proven');
      if (proven !== undefined) assert.ok(kept.has(proven.id));
      for (const { id, tags } of input.snapshots)
        if (tags.some((tag) => input.rules.keepTags.includes(tag))) assert.ok(kept.has(id));
    });
  });

  it('drops nothing that the rules would keep at a later time, but what the window of WAL could have begun with', () => {
    fc.assert(
      fc.property(
        inputs,
        fc.integer({ min: 1, max: 40 * 24 }),
        fc.array(fc.nat(100), { maxLength: 20 }),
        (input, hours, later) => {
          const today = applyPolicy(input);
          const now = NOW + hours * HOUR;
          const arrived = later.map((share, index) =>
            factsAt(1000 + index, NOW + Math.floor((share / 100) * hours * HOUR), {}),
          );
          const snapshots = [...input.snapshots, ...arrived, factsAt(2000, now, {})];
          const then = applyPolicy({ ...input, now, snapshots, accepted: new Set(snapshots.map(({ id }) => id)) });
          const dropped = new Set(ids(today.forget));
          for (const { snapshot, sentence, reasons } of then.keep) {
            if (!dropped.has(snapshot.id)) continue;
            assert.ok(
              reasons.every(({ kind }) => kind === 'wal-window'),
              `${snapshot.id} would stay later: ${sentence}`,
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('changes nothing when it is carried out and made again', () => {
    hold((input) => {
      const first = applyPolicy(input);
      const again = applyPolicy({ ...input, snapshots: first.keep.map(({ snapshot }) => snapshot) });
      assert.deepEqual(again.forget, []);
      assert.deepEqual(again.keep, first.keep);
      assert.deepEqual(again.wal, first.wal);
    });
  });

  it('leaves the WAL of each snapshot that stays, and all that leads from the base of the window to now', () => {
    hold((input) => {
      const { keep, wal } = applyPolicy(input);
      const nameOf = (id: string) => Buffer.from(id, 'hex').toString().replaceAll('\0', '');
      for (const { snapshot } of keep) {
        const { lineage, start, end } = snapshot.wal;
        assert.ok(isCovered(wal, nameOf(lineage), start, end));
      }
      const window = input.rules.wal ?? input.rules.keepWithin ?? 0;
      const older = input.snapshots.filter((each) => isSound(each) && each.storedAt <= NOW - window);
      const base = older.sort((a, b) => b.storedAt - a.storedAt)[0];
      if (base === undefined) return;
      const way = ['a', 'b', 'c'].slice(['a', 'b', 'c'].indexOf(nameOf(base.wal.lineage)));
      for (const [index, lineage] of way.entries()) {
        const from = index === 0 ? base.wal.start : 0n;
        const to = lineage === 'c' ? null : BigInt(FORKS[lineage === 'a' ? 0 : 1]);
        assert.ok(isCovered(wal, lineage, from, to), `${lineage} from ${from}`);
      }
    });
  });
});
