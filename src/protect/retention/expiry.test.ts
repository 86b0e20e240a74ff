import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeFacts, makeInput, makeLineage } from '../../../test/support/retention/facts.ts';
import { RetentionOracle, type TrueSnapshot } from '../../../test/support/retention/oracle.ts';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import type { Hold } from '../../repository/index.ts';
import { applyPolicy, describeExpiry, type PolicyInput } from './index.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 23, 10);

const reportOn = (input: PolicyInput, changes: Partial<Parameters<typeof describeExpiry>[0]> = {}) =>
  describeExpiry({ decision: applyPolicy(input), rules: input.rules, forgotten: [], interval: DAY, ...changes });

describe('the report on what expires', () => {
  it('foretells the day on which each snapshot goes, as an oracle finds it by living through the days', () => {
    for (const seed of [1, 2, 3]) {
      const random = seededRandom(seed);
      const rules = {
        ...{ keepWithin: 3 * DAY, hourly: 12, daily: 10, weekly: 5, monthly: 4, yearly: 2, keepAtLeast: 5, wal: 0 },
        timeZone: random.pick(['Europe/Berlin', 'America/New_York']),
      };
      const history: TrueSnapshot[] = [];
      const add = (takenAt: number) => {
        const fate = random.below(12);
        const level = takenAt > NOW ? 'stored' : fate === 0 ? null : 'verified';
        const doubts = takenAt < NOW && fate === 1 ? ['damage'] : [];
        history.unshift({ takenAt, facts: makeFacts(history.length, takenAt, { level, doubts }) });
      };
      for (let at = NOW - 900 * DAY; at < NOW; at += DAY) if (random.below(6) > 0) add(at + random.below(20) * HOUR);
      history.sort((a, b) => b.takenAt - a.takenAt);
      add(NOW);
      const input = makeInput({ now: NOW, rules, snapshots: history.map(({ facts }) => facts) });
      const { staying, due } = reportOn(input);
      assert.equal(staying.length + due.length, history.length);

      const oracle = new RetentionOracle(input.rules, 2 * DAY);
      const alive = new Map(staying.map((each) => [each.snapshot.id, each]));
      for (let now = NOW + DAY; now < NOW + 800 * DAY; now += DAY) {
        add(now);
        const kept = oracle.kept(history, now);
        for (const [id, { until, sentence }] of alive) {
          assert.notEqual(until, null, sentence);
          // Age ends between two backups; all else with one.
          assert.equal(kept.has(id), until! > now, `seed ${seed}, ${new Date(now).toISOString()}: ${id} ${sentence}`);
          if (!kept.has(id)) alive.delete(id);
        }
      }
      assert.ok(alive.size < staying.length / 2, 'most of them went');
    }
  });

  it('tells what went and why, what is held by whom, and what is due', () => {
    const held = makeFacts(1, NOW - 50 * DAY);
    const snapshots = [
      held,
      makeFacts(2, NOW - 40 * DAY),
      makeFacts(3, NOW - 30 * DAY, { tags: ['release'] }),
      makeFacts(4, NOW),
    ];
    const hold: Hold = {
      ...{ id: 'ab'.repeat(32), at: 0, who: 'anna', why: 'order 17 C 231/26', purpose: 'legal', ended: null },
      until: NOW + 7 * 365 * DAY,
      scope: { kind: 'snapshots', snapshots: [held.id] },
    };
    const rules = { keepWithin: 35 * DAY, keepTags: ['release'] };
    const input = makeInput({ now: NOW, rules, snapshots, holds: [hold] });
    const entry = (id: string, cluster: string) => ({
      id,
      cluster,
      completedAt: '2026-01-01T02:00:00.000Z',
      reason: `Goes, as ${id}.`,
    });
    const forgotten = [
      { version: 1 as const, at: '2026-11-01T00:00:00.000Z', snapshots: [entry('aa', 'main'), entry('bb', 'other')] },
      { version: 1 as const, at: '2026-11-02T00:00:00.000Z', snapshots: [entry('cc', 'main')] },
    ];
    const report = reportOn(input, { forgotten });
    assert.deepEqual(
      report.gone.map(({ id, reason }) => [id, reason]),
      [
        ['cc', 'Goes, as cc.'],
        ['aa', 'Goes, as aa.'],
      ],
    );
    assert.deepEqual(
      report.held.map(({ snapshot }) => snapshot.id),
      [held.id],
    );
    assert.deepEqual(
      report.due.map(({ snapshot }) => snapshot.id),
      [snapshots[1]!.id],
    );
    assert.deepEqual(
      report.staying.map(({ sentence }) => sentence),
      [
        'Goes about 2026-12-28 10:00:00Z: young enough until 2026-12-28 10:00:00Z.',
        'Goes about 2033-11-21 10:00:00Z: held by anna (order 17 C 231/26) until 2033-11-21 10:00:00Z.',
        'Stays for a time that cannot be foretold: tagged "release".',
      ],
    );
  });

  it('foretells when the window of WAL lets go of what it begins with', () => {
    const snapshots = [20, 12, 4, 0].map((days, index) => makeFacts(index, NOW - days * DAY));
    const input = makeInput({
      now: NOW,
      rules: { keepWithin: 10 * DAY },
      snapshots,
      lineages: [makeLineage('a', { grewAt: NOW })],
    });
    const { staying, due } = reportOn(input);
    assert.deepEqual(
      due.map(({ snapshot }) => snapshot.id),
      [snapshots[0]!.id],
    );
    const base = staying.find(({ snapshot }) => snapshot.id === snapshots[1]!.id)!;
    assert.deepEqual([base.until, base.isEarliest], [NOW + 6 * DAY, true], 'when the next one is as old as the window');
    assert.match(base.sentence, /^Goes at the earliest 2026-11-29/);
  });

  it('keeps on telling why nothing goes', () => {
    const input = makeInput({
      now: NOW,
      rules: { daily: 1 },
      snapshots: [makeFacts(1, NOW - 9 * DAY), makeFacts(2, NOW - 8 * DAY)],
    });
    const { due, refusal, staying } = reportOn(input);
    assert.deepEqual([due.length, refusal?.reasons[0]?.code, staying.length], [0, 'no-sound-snapshot', 2]);
  });
});
