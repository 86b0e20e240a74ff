import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeFacts, makeInput, makeLineage } from '../../../test/support/retention/facts.ts';
import type { Hold } from '../../repository/index.ts';
import { applyPolicy, type Decision, type PolicyInput } from './index.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 23, 10);

/** Snapshots at so many days before now, the first with number 1. */
function daysAgo(...days: number[]) {
  return days.map((day, index) => makeFacts(index + 1, NOW - day * DAY));
}

const idsOf = (entries: readonly { snapshot: { storedAt: number } }[]) =>
  entries.map(({ snapshot }) => Math.round((NOW - snapshot.storedAt) / DAY));
const codesOf = ({ refusal }: Decision) => refusal?.reasons.map(({ code }) => code) ?? null;
const hold = (changes: Partial<Hold>): Hold => ({
  ...{ id: 'ab'.repeat(32), at: 0, who: 'anna', why: 'an audit', until: null, purpose: 'legal', ended: null },
  scope: { kind: 'everything' },
  ...changes,
});

describe('the decision about keeping', () => {
  it('says of every snapshot in a sentence why it stays or goes', () => {
    const snapshots = [
      makeFacts(1, NOW - 40 * DAY, { level: 'proven' }),
      makeFacts(2, NOW - 30 * DAY),
      makeFacts(3, NOW - 2 * DAY - HOUR, { tags: ['release'] }),
      makeFacts(4, NOW - 2 * DAY),
      makeFacts(5, NOW - HOUR),
    ];
    const rules = { keepWithin: 7 * HOUR, daily: 2, keepTags: ['release'], timeZone: 'Europe/Berlin' };
    const held = hold({ scope: { kind: 'snapshots', snapshots: [snapshots[1]!.id] }, until: NOW + DAY });
    const { keep, forget } = applyPolicy(makeInput({ now: NOW, rules, snapshots, holds: [held] }));
    assert.deepEqual(
      keep.map(({ sentence }) => sentence),
      [
        'Stays: young enough until 2026-11-23 16:00:00Z; the newest of day 2026-11-23 (1 of 2 days); among the newest good ones, which always stay (1 of 1); the newest good one.',
        'Stays: the newest of day 2026-11-21 (2 of 2 days).',
        'Stays: tagged "release".',
        'Stays: held by anna (an audit) until 2026-11-24 10:00:00Z.',
        'Stays: the newest that was proven.',
      ],
    );
    assert.deepEqual(forget, []);
    const without = applyPolicy(makeInput({ now: NOW, rules: { ...rules, keepTags: [] }, snapshots }));
    assert.deepEqual(
      without.forget.map(({ reason }) => reason),
      [
        'Goes, as it is 2 d 1 h old, where 7 h are kept whole; 000000040000 stands for day 2026-11-21.',
        'Goes, as it is 30 d old, where 7 h are kept whole; it is from before the last 2 days that have one.',
      ],
    );
  });

  it('keeps of a bucket the newest sound one, and does not count a bucket without any', () => {
    const snapshots = [
      makeFacts(1, NOW - 3 * DAY),
      makeFacts(2, NOW - 2 * DAY - HOUR, { level: null }),
      makeFacts(3, NOW - 2 * DAY, { doubts: ['a cross-check'] }),
      makeFacts(4, NOW - DAY - HOUR),
      makeFacts(5, NOW - DAY, { doubts: ['damage'] }),
      makeFacts(6, NOW),
    ];
    const { keep, forget } = applyPolicy(makeInput({ now: NOW, rules: { daily: 3 }, snapshots }));
    assert.deepEqual(
      keep.map(({ snapshot }) => snapshot.id),
      [6, 4, 3, 1].map((number) => snapshots[number - 1]!.id),
    );
    assert.match(keep[2]!.sentence, /the newest of day 2026-11-21, which has no good one/);
    assert.deepEqual(
      forget.map(({ reason }) => reason),
      [
        'Goes, as it is doubtful (damage); 000000040000 stands for day 2026-11-22.',
        'Goes, as it was never attested; 000000030000 stands for day 2026-11-21.',
      ],
    );
  });

  it('goes by the time of the store, and by that of the writer only where a person accepted it', () => {
    const moved = makeFacts(1, NOW, { completedAt: NOW - 400 * DAY });
    const input = { now: NOW, rules: { yearly: 2 }, snapshots: [moved, makeFacts(2, NOW - HOUR)] };
    assert.deepEqual(codesOf(applyPolicy(makeInput(input))), ['dates-behind']);
    const { keep, refusal } = applyPolicy(makeInput({ ...input, accepted: new Set([moved.id]) }));
    assert.equal(refusal, null);
    assert.match(keep[1]!.sentence, /newest of year 2025 \(2 of 2/);
  });

  it('keeps an accepted one whose date is still to come, lets it stand for nothing, and judges it afterwards', () => {
    const early = makeFacts(3, NOW + 3 * DAY);
    const snapshots = [makeFacts(1, NOW - DAY), makeFacts(2, NOW), early];
    const accepted = new Set([early.id]);
    const { keep, refusal } = applyPolicy(makeInput({ now: NOW, rules: { daily: 1 }, snapshots, accepted }));
    assert.equal(refusal, null);
    assert.deepEqual(
      keep.map(({ snapshot }) => snapshot.id),
      [early.id, snapshots[1]!.id],
    );
    assert.match(keep[0]!.sentence, /dated 2026-11-26 10:00:00Z, which is still to come/);
    const later = applyPolicy(makeInput({ now: NOW + 3 * DAY, rules: { daily: 1 }, snapshots, accepted }));
    assert.deepEqual(
      later.keep.map(({ sentence }) => /newest of day 2026-11-26/.test(sentence)),
      [true],
    );
  });

  it('does not let the first successes after long failures end what was kept before them', () => {
    const rules = { keepWithin: 10 * DAY, keepAtLeast: 3 };
    const [within, before] = [
      [71, 72, 75, 79],
      [82, 90],
    ];
    const snapshots = daysAgo(0, ...within, ...before);
    const input = makeInput({ now: NOW, rules, snapshots, lineages: [makeLineage('a')] });
    const { keep, forget } = applyPolicy(input);
    assert.deepEqual([idsOf(keep), idsOf(forget)], [[0, ...within], before]);
    assert.match(
      keep[1]!.sentence,
      /no good backup came from 2026-09-13.* to 2026-11-23.*until 3 have come \(1 so far\)/,
    );
    const second = applyPolicy({ ...input, now: NOW + DAY, snapshots: [...snapshots, makeFacts(99, NOW + DAY)] });
    assert.deepEqual(idsOf(second.keep), [-1, 0, ...within]);
    const three = [...snapshots, makeFacts(98, NOW + HOUR), makeFacts(99, NOW + DAY)];
    const third = applyPolicy({ ...input, now: NOW + DAY, snapshots: three });
    assert.deepEqual(idsOf(third.keep), [-1, -0, 0, 71], 'the window of WAL begins with the fourth');
    const doubtful = three.map((each) => (each.id === three.at(-1)!.id ? { ...each, doubts: ['damage'] } : each));
    assert.equal(applyPolicy({ ...input, now: NOW + DAY, snapshots: doubtful }).keep.length, 7);
  });

  it('takes what was upgraded for the newest, whatever its timeline and names', () => {
    const older = makeFacts(1, NOW - DAY, {
      wal: { system: '9', lineage: 'f'.repeat(64), timeline: 7, start: 9n, end: 10n },
    });
    const newer = makeFacts(2, NOW, { wal: { system: '1', lineage: '0'.repeat(64), timeline: 1, start: 1n, end: 2n } });
    const { keep, forget } = applyPolicy(makeInput({ now: NOW, rules: {}, snapshots: [newer, older] }));
    assert.deepEqual([keep.map(({ snapshot }) => snapshot.id), forget.length], [[newer.id], 1]);
  });

  it('obeys holds of its snapshots, its cluster and everything, while they last', () => {
    const snapshots = daysAgo(0, 1, 2);
    const decide = (...holds: Hold[]) =>
      applyPolicy(makeInput({ now: NOW, rules: { daily: 1 }, snapshots, holds, lineages: [makeLineage('a')] }));
    const named = decide(hold({ scope: { kind: 'snapshots', snapshots: [snapshots[2]!.id, 'ff'.repeat(32)] } }));
    assert.deepEqual([idsOf(named.keep), named.wal.length], [[0, 2], 2]);
    for (const scope of [{ kind: 'cluster', cluster: 'main' }, { kind: 'everything' }] as const) {
      const { keep, wal } = decide(hold({ scope, purpose: 'recovery' }));
      assert.deepEqual([idsOf(keep), wal.map(({ from, to }) => [from, to])], [[0, 1, 2], [[0n, null]]]);
      assert.ok(wal[0]!.reasons.includes('Held by anna (an audit).'));
    }
    const over = [
      hold({ until: NOW }),
      hold({ ended: { at: 0, who: 'bert', why: 'done' } }),
      hold({ scope: { kind: 'cluster', cluster: 'other' } }),
    ];
    assert.deepEqual(idsOf(decide(...over).keep), [0]);
  });

  it('refuses a zone that there is not, and rules that are none', () => {
    const rules = { daily: 1, timeZone: 'Europe/Wishcraft' };
    assert.throws(() => applyPolicy(makeInput({ rules })), { code: 'TIME_ZONE_UNRECOGNIZED' });
    for (const broken of [{ daily: -1 }, { daily: 0.5 }, { keepWithin: Number.NaN }, { keepAtLeast: 0 }])
      assert.throws(() => applyPolicy(makeInput({ rules: broken })), { name: 'AssertionFailed' });
  });
});

describe('nothing is forgotten', () => {
  const rules = { daily: 1 };
  const refused = (changes: Partial<PolicyInput>): Decision => {
    const input = { now: NOW, rules, snapshots: daysAgo(0, 1, 2), lineages: [makeLineage('a')] };
    const decision = applyPolicy({ ...makeInput(input), ...changes });
    assert.notEqual(decision.refusal, null);
    assert.deepEqual([decision.forget, decision.wal.map(({ from, to }) => [from, to])], [[], [[0n, null]]]);
    assert.equal(decision.keep.length, (changes.snapshots ?? input.snapshots).length);
    return decision;
  };

  it('while the last good backup is older than expected, or was never made, however many bad ones there are', () => {
    const sixty = refused({ now: NOW + 60 * DAY });
    assert.deepEqual(codesOf(sixty), ['no-sound-snapshot']);
    assert.match(sixty.refusal!.reasons[0]!.sentence, /the last good backup is 60 d old .* not older than 2 d/);
    assert.match(
      sixty.keep[1]!.sentence,
      /nothing is forgotten now; otherwise it would go, as it is from before the last 1 day that/,
    );
    const bad = daysAgo(0, 0.1, 0.2).map((each) => ({ ...each, level: null }));
    assert.match(refused({ snapshots: bad }).refusal!.reasons[0]!.sentence, /there is no good backup/);
    assert.deepEqual(codesOf(refused({ now: NOW + HOUR, soundAgeMax: 30 * MINUTE })), ['no-sound-snapshot']);
    assert.equal(
      applyPolicy(makeInput({ now: NOW + HOUR, rules, snapshots: daysAgo(0, 1), soundAgeMax: HOUR })).refusal,
      null,
    );
  });

  it('when dates cannot be true, beyond what clocks may differ', () => {
    const newest = makeFacts(9, NOW);
    const wrong = (completedAt: number, storedAt: number) => [newest, makeFacts(1, storedAt, { completedAt })];
    for (const [completedAt, storedAt, code] of [
      [NOW + 16 * MINUTE, NOW, 'dates-ahead'],
      [NOW + 16 * MINUTE, NOW + 16 * MINUTE, 'dates-ahead'],
      [NOW - DAY - 1, NOW, 'dates-behind'],
    ] as const) {
      const decision = refused({ snapshots: wrong(completedAt, storedAt) });
      assert.deepEqual(codesOf(decision), [code]);
      assert.deepEqual(decision.refusal!.reasons[0]!.snapshots.length, 1);
    }
    for (const [completedAt, storedAt] of [
      [NOW + 15 * MINUTE, NOW],
      [NOW, NOW + 15 * MINUTE],
      [NOW - DAY, NOW],
    ] as const)
      assert.equal(applyPolicy(makeInput({ now: NOW, rules, snapshots: wrong(completedAt, storedAt) })).refusal, null);
  });

  it('when more come within a day than the plan makes one expect, also days later, until they are accepted', () => {
    const every = (ms: number, count: number, from = NOW) =>
      Array.from({ length: count }, (_, number) => makeFacts(number, from - number * ms));
    const burst = every(MINUTE, 25, NOW - 5 * DAY);
    const snapshots = [...burst, ...daysAgo(0, 1).map((each) => ({ ...each, id: `ff${each.id.slice(2)}` }))];
    const flooded = refused({ snapshots, soundAgeMax: 26 * HOUR });
    assert.deepEqual(codesOf(flooded), ['flood']);
    assert.deepEqual([...flooded.refusal!.reasons[0]!.snapshots].sort(), burst.map(({ id }) => id).sort());
    const accepted = new Set(burst.map(({ id }) => id));
    const input = { now: NOW, rules, snapshots, soundAgeMax: 26 * HOUR };
    assert.equal(applyPolicy(makeInput({ ...input, accepted })).refusal, null);
    assert.equal(
      applyPolicy(makeInput({ ...input, soundAgeMax: 2 * HOUR })).refusal,
      null,
      'the plan expects twelve a day',
    );
    for (const [count, codes] of [
      [384, null],
      [385, ['flood']],
    ] as const)
      assert.deepEqual(codesOf(applyPolicy(makeInput({ now: NOW, rules, snapshots: every(MINUTE, count) }))), codes);
    assert.equal(applyPolicy(makeInput({ now: NOW, rules, snapshots: every(15 * MINUTE, 1000) })).refusal, null);
  });

  it('when something is not known or hidden, and all reasons are told at once', () => {
    const obstacles = [
      { code: 'snapshot-unreadable', sentence: 'A record cannot be read.', hint: 'Run `holdfast verify`.' },
      { code: 'heads-regressed', sentence: 'The ledger went back.', hint: 'Find out why.' },
    ] as const;
    assert.deepEqual(codesOf(refused({ obstacles, now: NOW + 9 * DAY })), [
      ...['snapshot-unreadable', 'heads-regressed', 'no-sound-snapshot'],
    ]);
  });
});
