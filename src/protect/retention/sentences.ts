import { formatDuration, formatMoment, formatQuantity } from '../../lib/index.ts';
import { formatLsn } from '../../postgres/index.ts';
import { shorten } from './anomalies.ts';
import type { KeepReason } from './decision.ts';
import type { JudgedSnapshot } from './judged-snapshot.ts';
import type { Representatives } from './keep-by-rules.ts';
import { CALENDAR_RULES, type CalendarRule, type RetentionRules } from './rules.ts';

const PERIODS: Readonly<Record<CalendarRule, readonly [one: string, many: string]>> = {
  hourly: ['hour', 'hours'],
  daily: ['day', 'days'],
  weekly: ['week', 'weeks'],
  monthly: ['month', 'months'],
  yearly: ['year', 'years'],
};

/** Why a snapshot is kept, as one whole sentence. */
export function sentenceOfKept(reasons: readonly KeepReason[]): string {
  // Windows of several lineages may begin with one snapshot.
  return `Stays: ${[...new Set(reasons.map(describeReason))].join('; ')}.`;
}

/** One reason to keep a snapshot, in words that follow a colon. */
export function describeReason(reason: KeepReason): string {
  switch (reason.kind) {
    case 'within':
      return `young enough until ${formatMoment(reason.until)}`;
    case 'failures':
      return `no good backup came from ${formatMoment(reason.from)} to ${formatMoment(reason.to)}, so what was young enough then stays until ${reason.of} have come (${reason.came} so far)`;
    case 'at-least':
      return `among the newest good ones, which always stay (${reason.rank} of ${reason.of})`;
    case 'tag':
      return `tagged "${reason.tag}"`;
    case 'hold':
      return `held by ${reason.who} (${reason.why})${reason.until === null ? '' : ` until ${formatMoment(reason.until)}`}`;
    case 'newest-sound':
      return 'the newest good one';
    case 'newest-proven':
      return 'the newest that was proven';
    case 'wal-window':
      return 'the window of point-in-time recovery begins with it';
    case 'after-gap':
      return `the first behind the hole in the WAL that ends at ${formatLsn(reason.end)}`;
    case 'dated-ahead':
      return `dated ${formatMoment(reason.until)}, which is still to come`;
    case 'refused':
      return `nothing is forgotten now; otherwise it would go, as ${reason.instead}`;
    default:
      return describeBucket(reason);
  }
}

function describeBucket({ kind, bucket, rank, of, sound }: Extract<KeepReason, { kind: CalendarRule }>): string {
  const [one, many] = PERIODS[kind];
  if (!sound) return `the newest of ${one} ${bucket}, which has no good one`;
  return `the newest of ${one} ${bucket} (${rank} of ${of} ${many})`;
}

/** Why no rule keeps a snapshot, in words that follow "as". `bucketOf`: the bucket in which a rule puts it. */
export function whyForgotten(
  { facts, time }: JudgedSnapshot,
  rules: RetentionRules,
  representatives: Representatives,
  { now, bucketOf }: { now: number; bucketOf: (rule: CalendarRule) => string },
): string {
  const parts: string[] = [];
  if (facts.doubts.length > 0) parts.push(`it is doubtful (${facts.doubts.join(', ')})`);
  else if (facts.level === null) parts.push('it was never attested');
  if (rules.keepWithin !== null)
    parts.push(`it is ${formatDuration(now - time)} old, where ${formatDuration(rules.keepWithin)} are kept whole`);
  const left: string[] = [];
  let instead: string | null = null;
  for (const rule of CALENDAR_RULES) {
    if (rules[rule] === 0) continue;
    const [one, many] = PERIODS[rule];
    const other = representatives.get(rule)?.get(bucketOf(rule));
    if (other === undefined) left.push(formatQuantity(rules[rule], one, many));
    else instead ??= `${shorten(other.facts.id)} stands for ${one} ${bucketOf(rule)}`;
  }
  if (left.length > 0) parts.push(`it is from before the last ${left.join(', ')} that have one`);
  if (instead !== null) parts.push(instead);
  return parts.length === 0 ? `${rules.keepAtLeast} newer ones always stay` : parts.join('; ');
}
