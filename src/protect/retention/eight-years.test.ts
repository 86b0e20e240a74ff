import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeFacts, makeInput, noRules } from '../../../test/support/retention/facts.ts';
import { RetentionOracle, type TrueSnapshot } from '../../../test/support/retention/oracle.ts';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import { applyPolicy, type Decision } from './index.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BEGIN = Date.UTC(2019, 0, 1);
const DAYS = 8 * 365 + 2;
const SOUND_AGE_MAX = 26 * HOUR;

/** Days on which every backup failed: a weekend, the days around the end of a month, of a year, and sixty days in a row. */
const FAILED: readonly (readonly [from: string, to: string])[] = [
  ['2019-06-08', '2019-06-09'],
  ['2020-01-30', '2020-02-02'],
  ['2021-12-28', '2022-01-04'],
  ['2023-03-01', '2023-04-29'],
];
/** The store's clock is ahead by so much for three days; the writers' own clocks are right. */
const JUMP = {
  from: Date.UTC(2024, 4, 10),
  to: Date.UTC(2024, 4, 13),
  ms: 400 * DAY,
  acceptedAt: Date.UTC(2024, 4, 20),
};

/** One life of a repository: backups are made, some fail or turn out doubtful, and every day the decision is carried out. */
class Life {
  readonly now: { moment: number; store: number } = { moment: BEGIN, store: BEGIN };
  /** Everything that was ever made, newest first. */
  readonly history: TrueSnapshot[] = [];
  /** What is left of it. */
  readonly alive = new Map<string, TrueSnapshot>();
  readonly #random;
  #number = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** The backups of one day: one at 02:00 UTC, others at odd hours, so that some come in the hours that a night in spring or autumn lacks or has twice. */
  spend(day: number): void {
    const midnight = BEGIN + day * DAY;
    const date = new Date(midnight).toISOString().slice(0, 10);
    const hours = [2, ...[0, 1, 5, 6, 23].filter(() => this.#random.below(4) === 0)].sort((a, b) => a - b);
    for (const hour of hours) {
      const at = midnight + hour * HOUR + this.#random.below(HOUR);
      if (FAILED.some(([from, to]) => date >= from && date <= to) || this.#random.below(40) === 0) continue;
      this.#take(at);
    }
    const moment = midnight + 23.9 * HOUR;
    Object.assign(this.now, { moment, store: moment + (isInJump(moment) ? JUMP.ms : 0) });
  }

  #take(takenAt: number): void {
    const fate = this.#random.below(30);
    const facts = makeFacts(++this.#number, takenAt, {
      storedAt: takenAt + (isInJump(takenAt) ? JUMP.ms : 0),
      level: fate === 0 ? null : fate < 4 ? 'proven' : 'verified',
      doubts: fate === 1 ? ['a cross-check'] : [],
      tags: this.#number % 701 === 0 ? ['release'] : [],
    });
    this.history.unshift({ facts, takenAt });
    this.alive.set(facts.id, this.history[0]!);
  }

  carryOut({ forget }: Decision): void {
    for (const { snapshot } of forget) this.alive.delete(snapshot.id);
  }
}

function isInJump(moment: number): boolean {
  return moment >= JUMP.from && moment < JUMP.to;
}

const rules = {
  ...{ ...noRules, keepWithin: 3 * DAY, hourly: 30, daily: 30, weekly: 12, monthly: 12, yearly: 7, keepAtLeast: 4 },
  keepTags: ['release'],
};

describe('eight years of a calendar', () => {
  for (const [timeZone, seed] of [
    ['Europe/Berlin', 1],
    ['America/New_York', 2],
  ] as const) {
    it(`leave each day exactly what an oracle keeps, by the clocks of ${timeZone} (seed ${seed})`, () => {
      const life = new Life(seed);
      const oracle = new RetentionOracle({ ...rules, timeZone }, SOUND_AGE_MAX);
      const stops = new Map<string, number>();
      for (let day = 0; day < DAYS; day++) {
        life.spend(day);
        const isJumped = life.now.moment >= JUMP.from && life.now.moment < JUMP.acceptedAt;
        const accepted =
          life.now.moment < JUMP.acceptedAt ? [] : life.history.filter(({ takenAt }) => isInJump(takenAt));
        const decision = applyPolicy(
          makeInput({
            rules: { ...rules, timeZone },
            now: life.now.store,
            snapshots: [...life.alive.values()].map(({ facts }) => facts),
            soundAgeMax: SOUND_AGE_MAX,
            accepted: new Set(accepted.map(({ facts }) => facts.id)),
          }),
        );
        for (const { code } of decision.refusal?.reasons ?? []) stops.set(code, (stops.get(code) ?? 0) + 1);
        const isStopped = isJumped || oracle.isStopped(life.history, life.now.moment);
        assert.equal(decision.refusal !== null, isStopped, `day ${day}`);
        const before = [...life.alive.keys()];
        const ruled = oracle.kept(life.history, life.now.moment);
        const expected = isStopped ? before : before.filter((id) => ruled.has(id));
        life.carryOut(decision);
        assert.deepEqual([...life.alive.keys()], expected, `day ${day}, ${new Date(life.now.moment).toISOString()}`);
        assert.deepEqual(decision.keep.map(({ snapshot }) => snapshot.id).sort(), [...expected].sort());
        // Only what stopped days spared may be missing later; what the rules keep is there, whatever went before.
        for (const id of ruled) assert.ok(life.alive.has(id), `day ${day} misses ${id}`);
      }
      assert.ok(stops.get('no-sound-snapshot')! > 60, 'failures stopped it');
      assert.deepEqual(
        [stops.get('dates-behind'), stops.get('dates-ahead')].map((days) => days! > 0),
        [true, true],
      );
      const years = [...life.alive.values()].filter(({ takenAt }) => takenAt < life.now.moment - 400 * DAY);
      assert.ok(years.length >= 6, 'yearly ones are left');
    });
  }
});
