import type { RetentionRules, SnapshotFacts } from '../../../src/protect/retention/index.ts';

const DAY = 86_400_000;

/** One snapshot of a history that is known from outside: when it truly was taken. */
export interface TrueSnapshot {
  readonly facts: SnapshotFacts;
  readonly takenAt: number;
}

/**
 * What is to be kept at a moment out of everything that was ever made, worked out the long way: each rule is one sentence of `docs/retention.md`, tried on
 * each snapshot by itself, with the calendar as the runtime prints it. It shares no line with the policy.
 *
 * Knows the rules by age, by calendar and by number, tags, and what always stays; no WAL, no holds, no anomalies.
 */
export class RetentionOracle {
  readonly #rules: RetentionRules;
  readonly #soundAgeMax: number;
  readonly #labels = new Map<string, Record<string, string>>();
  readonly #wall: Intl.DateTimeFormat;

  constructor(rules: RetentionRules, soundAgeMax: number) {
    this.#rules = rules;
    this.#soundAgeMax = soundAgeMax;
    this.#wall = new Intl.DateTimeFormat('sv-SE', {
      ...{ timeZone: rules.timeZone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit' },
      timeZoneName: 'shortOffset',
    });
  }

  /** The ids of what stays, of a history that is given newest first. */
  kept(history: readonly TrueSnapshot[], now: number): Set<string> {
    const rules = this.#rules;
    const kept = new Set<string>();
    const sound = history.filter((each) => isSound(each.facts));
    for (const { facts, takenAt } of history) {
      if (rules.keepWithin !== null && now - takenAt <= rules.keepWithin) kept.add(facts.id);
      if (facts.tags.some((tag) => rules.keepTags.includes(tag))) kept.add(facts.id);
    }
    for (const each of sound.slice(0, Math.max(1, rules.keepAtLeast))) kept.add(each.facts.id);
    const proven = sound.find(({ facts }) => facts.level === 'proven');
    if (proven !== undefined) kept.add(proven.facts.id);
    for (const rule of ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const)
      this.#byCalendar(rule, history, kept);
    this.#afterFailures(history, sound, kept);
    return kept;
  }

  /** Whether the last good backup is so old that nothing may go. */
  isStopped(history: readonly TrueSnapshot[], now: number): boolean {
    const newest = history.find(({ facts }) => isSound(facts));
    return newest === undefined || now - newest.takenAt > this.#soundAgeMax;
  }

  #byCalendar(rule: CalendarName, history: readonly TrueSnapshot[], kept: Set<string>): void {
    let left = this.#rules[rule];
    let index = 0;
    while (left > 0 && index < history.length) {
      const label = this.labels(history[index]!)[rule];
      const bucket: TrueSnapshot[] = [];
      while (index < history.length && this.labels(history[index]!)[rule] === label) bucket.push(history[index++]!);
      const good = bucket.find(({ facts }) => isSound(facts));
      kept.add((good ?? bucket[0]!).facts.id);
      if (good !== undefined) left -= 1;
    }
  }

  #afterFailures(history: readonly TrueSnapshot[], sound: readonly TrueSnapshot[], kept: Set<string>): void {
    const within = this.#rules.keepWithin;
    if (within === null) return;
    const first = sound.findIndex((each, index) => {
      const older = sound[index + 1];
      if (older === undefined || index + 1 >= this.#rules.keepAtLeast) return false;
      return each.takenAt - older.takenAt > within && each.takenAt - older.takenAt > this.#soundAgeMax;
    });
    if (first === -1) return;
    const stoppedAt = sound[first + 1]!.takenAt + this.#soundAgeMax;
    for (const { facts, takenAt } of history) {
      if (takenAt < sound[first]!.takenAt && stoppedAt - takenAt <= within) kept.add(facts.id);
    }
  }

  labels({ facts, takenAt }: TrueSnapshot): Record<CalendarName, string> {
    const known = this.#labels.get(facts.id);
    if (known !== undefined) return known as Record<CalendarName, string>;
    const wall = this.#wall.format(takenAt);
    const date = wall.slice(0, 10);
    const labels = {
      ...{ hourly: wall, daily: date, weekly: mondayBefore(date), monthly: date.slice(0, 7), yearly: date.slice(0, 4) },
    };
    this.#labels.set(facts.id, labels);
    return labels;
  }
}

type CalendarName = 'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly';

function isSound({ level, doubts }: SnapshotFacts): boolean {
  return level !== null && doubts.length === 0;
}

/** The Monday that a date is in the week of, found by going back a day at a time. */
function mondayBefore(date: string): string {
  let day = Date.parse(`${date}T12:00:00Z`);
  while (new Date(day).getUTCDay() !== 1) day -= DAY;
  return new Date(day).toISOString().slice(0, 10);
}
