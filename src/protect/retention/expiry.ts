import { formatMoment } from '../../lib/index.ts';
import type { ForgottenRecord } from '../../repository/index.ts';
import { Calendar } from './calendar.ts';
import type { Decision, ForgottenSnapshot, KeepReason, KeptSnapshot, Refusal } from './decision.ts';
import type { SnapshotFacts } from './facts.ts';
import type { CalendarRule, RetentionRules } from './rules.ts';
import { describeReason } from './sentences.ts';

const DAY_MS = 86_400_000;
/** A backup every quarter of an hour for eleven years; what is farther away is not foretold. */
const BACKUPS_MAX = 400_000;

/** A snapshot that was dropped with intent. Times are milliseconds since 1970. */
export interface GoneSnapshot {
  readonly id: string;
  readonly completedAt: number;
  readonly goneAt: number;
  readonly reason: string;
}

/** When a snapshot that stays is going to go. */
export interface ExpectedEnd {
  readonly snapshot: SnapshotFacts;
  /** From when on nothing keeps it any more; `null` when that cannot be foretold, or is not to come. */
  readonly until: number | null;
  /** Whether it may stay longer, as what follows it is thinned out before it can take its place. */
  readonly isEarliest: boolean;
  /** The reason that keeps it longest. */
  readonly reason: KeepReason;
  readonly sentence: string;
}

/** What went, what is held and why, and what will go when. */
export interface ExpiryReport {
  readonly cluster: string;
  readonly at: number;
  /** Newest first by when they went. */
  readonly gone: readonly GoneSnapshot[];
  /** What the rules let go now, and is there still. */
  readonly due: readonly ForgottenSnapshot[];
  /** What a hold keeps. */
  readonly held: readonly KeptSnapshot[];
  /** All that stays, by when it goes; what cannot be foretold last. */
  readonly staying: readonly ExpectedEnd[];
  readonly refusal: Refusal | null;
}

export interface ExpiryInput {
  readonly decision: Decision;
  readonly rules: RetentionRules;
  /** As `listForgotten` gives them, of any cluster. */
  readonly forgotten: readonly ForgottenRecord[];
  /** How far apart good backups are going to be, in milliseconds; `null`: a day. */
  readonly interval: number | null;
}

/** Tells of one cluster what went, what is held, and what will go when, if good backups go on to come. Pure, like the decision that it is made from. */
export function describeExpiry({ decision, rules, forgotten, interval }: ExpiryInput): ExpiryReport {
  const { cluster, now, keep, forget, refusal } = decision;
  const future = new Future(decision, rules, interval ?? DAY_MS);
  const staying = keep.map((kept) => expectEnd(kept, future));
  const gone = forgotten.flatMap(({ at, snapshots }) =>
    snapshots
      .filter((each) => each.cluster === cluster)
      .map(({ id, completedAt, reason }) => ({
        id,
        reason,
        completedAt: Date.parse(completedAt),
        goneAt: Date.parse(at),
      })),
  );
  return {
    ...{ cluster, at: now, refusal, due: forget },
    gone: gone.sort((a, b) => b.goneAt - a.goneAt || b.completedAt - a.completedAt),
    held: keep.filter(({ reasons }) => reasons.some(({ kind }) => kind === 'hold')),
    staying: staying.sort((a, b) => (a.until ?? Number.POSITIVE_INFINITY) - (b.until ?? Number.POSITIVE_INFINITY)),
  };
}

function expectEnd({ snapshot, reasons }: KeptSnapshot, future: Future): ExpectedEnd {
  const ends = reasons.map((reason) => ({ reason, until: future.endOf(reason, snapshot) }));
  const last = ends.reduce((longest, each) => (isLonger(each.until, longest.until) ? each : longest));
  const isEarliest = last.reason.kind === 'wal-window' || last.reason.kind === 'after-gap';
  const why = describeReason(last.reason);
  const when =
    last.until === null
      ? 'Stays for a time that cannot be foretold'
      : `Goes ${isEarliest ? 'at the earliest' : 'about'} ${formatMoment(last.until)}`;
  return { snapshot, until: last.until, isEarliest, reason: last.reason, sentence: `${when}: ${why}.` };
}

/** `null` is longer than any time. */
function isLonger(a: number | null, b: number | null): boolean {
  return b !== null && (a === null || a > b);
}

/** The good backups that are expected, and what they put an end to. */
class Future {
  readonly #decision: Decision;
  readonly #rules: RetentionRules;
  readonly #calendar: Calendar;
  readonly #interval: number;
  /** When the newest good one there is was taken, which the others follow. */
  readonly #newest: number;
  readonly #begins = new Map<CalendarRule, readonly number[]>();

  constructor(decision: Decision, rules: RetentionRules, interval: number) {
    this.#decision = decision;
    this.#rules = rules;
    this.#calendar = Calendar.of(rules.timeZone);
    this.#interval = interval;
    const newest = decision.keep.find(({ reasons }) => reasons.some(({ kind }) => kind === 'newest-sound'));
    this.#newest = newest?.snapshot.storedAt ?? decision.now;
  }

  /** When a reason to keep a snapshot ends; `null` when that cannot be foretold. */
  endOf(reason: KeepReason, { storedAt }: SnapshotFacts): number | null {
    switch (reason.kind) {
      case 'within':
      case 'dated-ahead':
      case 'hold':
        return reason.until;
      case 'at-least':
        return this.#backup(reason.of - reason.rank + 1);
      case 'failures':
        return this.#backup(reason.of - reason.came);
      case 'newest-sound':
        return this.#backup(1);
      case 'wal-window':
      case 'after-gap':
        return this.#successorOf(storedAt) + (this.#rules.wal ?? this.#rules.keepWithin ?? 0);
      case 'refused':
        return this.#decision.now;
      case 'tag':
      case 'newest-proven':
        return null;
      default:
        return this.#endOfBucket(reason);
    }
  }

  /** The moment of the backup that is so many from now. */
  #backup(count: number): number {
    const missed = Math.max(0, Math.floor((this.#decision.now - this.#newest) / this.#interval));
    return this.#newest + (missed + count) * this.#interval;
  }

  #successorOf(storedAt: number): number {
    const newer = this.#decision.keep.filter(
      ({ snapshot }) => snapshot.storedAt > storedAt && snapshot.level !== null && snapshot.doubts.length === 0,
    );
    return Math.min(this.#backup(1), ...newer.map(({ snapshot }) => snapshot.storedAt));
  }

  /** A bucket under way is taken over by the next backup in it; a past one counts until enough newer ones have begun. */
  #endOfBucket({ kind, bucket, rank, of, sound }: Extract<KeepReason, { kind: CalendarRule }>): number | null {
    const next = this.#backup(1);
    if (this.#calendar.bucketOf(kind, next) === bucket) return next;
    const newer = sound ? rank - 1 : rank;
    return this.#beginsOf(kind)[of - newer - 1] ?? null;
  }

  /** The first backup of each bucket that is still to begin, as many as the rule may wait for. */
  #beginsOf(rule: CalendarRule): readonly number[] {
    const known = this.#begins.get(rule);
    if (known !== undefined) return known;
    const begins: number[] = [];
    let label = this.#calendar.bucketOf(rule, this.#newest);
    for (let count = 1; count <= BACKUPS_MAX && begins.length < this.#rules[rule]; count++) {
      const at = this.#backup(count);
      const bucket = this.#calendar.bucketOf(rule, at);
      if (bucket === label) continue;
      label = bucket;
      begins.push(at);
    }
    this.#begins.set(rule, begins);
    return begins;
  }
}
