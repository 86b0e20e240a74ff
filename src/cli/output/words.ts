import { formatDuration, formatMoment } from '../../lib/index.ts';
import type { Paint } from './paint.ts';

/** So many digits of an id tell snapshots apart in practice; any unambiguous beginning is taken as input. */
const shownDigits = 12;

/** The beginning of an id of 64 digits. */
export function shortId(id: string): string {
  return id.slice(0, shownDigits);
}

/** `3 h 5 min ago`. Milliseconds since 1970. */
export function formatAge(now: number, at: number): string {
  return `${formatDuration(now - at)} ago`;
}

/** How far a snapshot was put to the test, in a colour that says whether that is enough to be calm. */
export function paintLevel(
  level: 'stored' | 'verified' | 'proven' | null,
  paint: Paint,
  isDamaged = false,
  isDoubtful = false,
): string {
  // What was verified once may be damaged now, and that is what counts.
  if (isDamaged) return paint.bad('damaged');
  if (isDoubtful) return paint.bad('doubtful');
  if (level === null) return paint.warning('not attested');
  return level === 'stored' ? level : paint.good(level);
}

/** Until when nobody can delete it, at `now`; `null` when no place locks it. Milliseconds since 1970. */
export function paintLock(until: number | null, now: number, paint: Paint): string {
  if (until === null) return paint.faint('not locked');
  return until > now ? paint.good(`until ${formatMoment(until)}`) : paint.warning(`ran out ${formatMoment(until)}`);
}

/** Whole milliseconds since 1970 as ISO 8601 with `Z`, for JSON. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** A word as a shell takes it, for commands that are shown to be copied. */
export function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
