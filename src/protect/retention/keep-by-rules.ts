import { type Hold, isHoldInForce } from '../../repository/index.ts';
import { SOUND_AGE_MS_DEFAULT } from './anomalies.ts';
import { Calendar } from './calendar.ts';
import type { KeepReason } from './decision.ts';
import type { PolicyInput } from './facts.ts';
import type { JudgedSnapshot } from './judged-snapshot.ts';
import { CALENDAR_RULES, type CalendarRule } from './rules.ts';

/** A snapshot and one reason to keep it. */
export interface Keep {
  readonly snapshot: JudgedSnapshot;
  readonly reason: KeepReason;
}

/** What each calendar rule found: the snapshot that stands for a bucket, by the bucket's name. */
export type Representatives = ReadonlyMap<CalendarRule, ReadonlyMap<string, JudgedSnapshot>>;

/** What the rules keep of snapshots that are given newest first, and what always stays. */
export function keepByRules(
  input: PolicyInput,
  judged: readonly JudgedSnapshot[],
): { keeps: Keep[]; representatives: Representatives } {
  const calendar = Calendar.of(input.rules.timeZone);
  const representatives = new Map<CalendarRule, ReadonlyMap<string, JudgedSnapshot>>();
  const keeps = [
    ...keepWithin(input, judged),
    ...keepThroughFailures(input, judged),
    ...CALENDAR_RULES.flatMap((rule) => {
      const found = keepByCalendar(rule, input.rules[rule], calendar, judged);
      representatives.set(rule, new Map(found.map(({ bucket, snapshot }) => [bucket, snapshot])));
      return found.map(({ snapshot, reason }) => ({ snapshot, reason }));
    }),
    ...keepAtLeast(input.rules.keepAtLeast, judged),
    ...keepTagged(input.rules.keepTags, judged),
    ...keepNewest(judged),
    ...keepDatedAhead(judged),
    ...keepHeld(input, judged),
  ];
  return { keeps, representatives };
}

function keepWithin({ rules, now }: PolicyInput, judged: readonly JudgedSnapshot[]): Keep[] {
  const { keepWithin: within } = rules;
  if (within === null) return [];
  return judged
    .filter(({ time, isAhead }) => !isAhead && now - time <= within)
    .map((snapshot) => ({ snapshot, reason: { kind: 'within', until: snapshot.time + within } }));
}

/**
 * Where no sound snapshot came for longer than the whole window, the first ones that do must not let all go that was kept before: what lay in the window
 * when the failures began to count stays until as many have come as are always to stay.
 *
 * Only gaps between snapshots that always stay are looked at: between others, gaps are what the rules themselves have left.
 */
function keepThroughFailures({ rules, soundAgeMax }: PolicyInput, judged: readonly JudgedSnapshot[]): Keep[] {
  const { keepWithin: within, keepAtLeast: of } = rules;
  if (within === null) return [];
  const ageMax = soundAgeMax ?? SOUND_AGE_MS_DEFAULT;
  const newest = judged.filter(({ isSound }) => isSound).slice(0, of);
  for (const [index, before] of newest.entries()) {
    const after = newest[index - 1];
    if (after === undefined || after.time - before.time <= Math.max(within, ageMax)) continue;
    const reason: KeepReason = { kind: 'failures', from: before.time, to: after.time, came: index, of };
    const noticedAt = before.time + ageMax;
    return judged
      .filter(({ time }) => time < after.time && noticedAt - time <= within)
      .map((snapshot) => ({ snapshot, reason }));
  }
  return [];
}

/**
 * The snapshot of each of the last `of` buckets that have one: the newest sound one, or the newest where none is. A bucket without a sound one does
 * not count, so that damage and doubts push nothing out.
 */
function keepByCalendar(
  rule: CalendarRule,
  of: number,
  calendar: Calendar,
  judged: readonly JudgedSnapshot[],
): (Keep & { bucket: string })[] {
  const found = new Map<string, JudgedSnapshot>();
  let counted = 0;
  for (const snapshot of of === 0 ? [] : judged) {
    if (snapshot.isAhead) continue;
    const bucket = calendar.bucketOf(rule, snapshot.time);
    const known = found.get(bucket);
    if (known === undefined && counted === of) break;
    if (known !== undefined && (known.isSound || !snapshot.isSound)) continue;
    found.set(bucket, snapshot);
    if (snapshot.isSound) counted += 1;
  }
  let rank = 0;
  return [...found].map(([bucket, snapshot]) => {
    if (snapshot.isSound) rank += 1;
    return { bucket, snapshot, reason: { kind: rule, bucket, rank, of, sound: snapshot.isSound } };
  });
}

function keepAtLeast(of: number, judged: readonly JudgedSnapshot[]): Keep[] {
  return judged
    .filter(({ isSound }) => isSound)
    .slice(0, of)
    .map((snapshot, index) => ({ snapshot, reason: { kind: 'at-least', rank: index + 1, of } }));
}

function keepTagged(tags: readonly string[], judged: readonly JudgedSnapshot[]): Keep[] {
  const wanted = new Set(tags);
  return judged.flatMap((snapshot) => {
    const tag = snapshot.facts.tags.find((each) => wanted.has(each));
    return tag === undefined ? [] : [{ snapshot, reason: { kind: 'tag', tag } as const }];
  });
}

/** The last proven one stays although it has become doubtful, while no other is: it says at least what was tried. */
function keepNewest(judged: readonly JudgedSnapshot[]): Keep[] {
  const sound = judged.find(({ isSound }) => isSound);
  const isProven = ({ facts }: JudgedSnapshot) => facts.level === 'proven';
  const proven = judged.find((each) => each.isSound && isProven(each)) ?? judged.find(isProven);
  return [
    ...(sound === undefined ? [] : [{ snapshot: sound, reason: { kind: 'newest-sound' } as const }]),
    ...(proven === undefined ? [] : [{ snapshot: proven, reason: { kind: 'newest-proven' } as const }]),
  ];
}

function keepDatedAhead(judged: readonly JudgedSnapshot[]): Keep[] {
  return judged
    .filter(({ isAhead }) => isAhead)
    .map((snapshot) => ({ snapshot, reason: { kind: 'dated-ahead', until: snapshot.time } }));
}

function keepHeld({ holds, cluster, now }: PolicyInput, judged: readonly JudgedSnapshot[]): Keep[] {
  return holdsOf(holds, cluster, now).flatMap(({ id, who, why, until, scope }) => {
    const named = scope.kind === 'snapshots' ? new Set(scope.snapshots) : null;
    const reason: KeepReason = { kind: 'hold', hold: id, who, why, until };
    return judged
      .filter(({ facts }) => named === null || named.has(facts.id))
      .map((snapshot) => ({ snapshot, reason }));
  });
}

/** The holds that are in force and may concern a cluster, by their ids. */
export function holdsOf(holds: readonly Hold[], cluster: string, now: number): Hold[] {
  return holds
    .filter((hold) => isHoldInForce(hold, now) && (hold.scope.kind !== 'cluster' || hold.scope.cluster === cluster))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}
