import { assert } from '../../lib/index.ts';
import { isFragment, isVolatile } from '../object-store/index.ts';

const DAY_MS = 86_400_000;

/**
 * Locks are set and extended for so much longer than anything needs, and extended only when less than the need remains: so an object that every
 * daily backup counts on is touched once in thirty days.
 */
const LOCK_STRIDE_MS = 30 * DAY_MS;

/** How long a fragment of WAL stays locked after somebody last saw that it is still needed: until it is joined, verified and copied, and three days more. */
const FRAGMENT_NEED_MS = 3 * DAY_MS;
/** Receivers look after their fragments several times a day; a day on top lets one that was down come back in time. */
const FRAGMENT_STRIDE_MS = DAY_MS;

/** Shorter, locks would run out between daily backups; longer than ten years, a slip of the pen costs more than it protects, and nobody can take it back. */
const LOCK_MS_MIN = DAY_MS;
const LOCK_MS_MAX = 3650 * DAY_MS;

/** For how many milliseconds an object of this name is locked when it is put; `null` for one that is never locked. */
export type LockRule = (name: string) => number | null;

/**
 * The rule of a place whose snapshots stay untouchable for so many milliseconds after their completion, one day to 3650.
 *
 * What is volatile is never locked; a fragment of WAL for days, as it is deleted once it is joined; all else for the period of the place and a stride.
 */
export function lockRule(periodMs: number): LockRule {
  assert(periodMs >= LOCK_MS_MIN && periodMs <= LOCK_MS_MAX, 'a place locks for one day to 3650 days');
  return (name) => {
    if (isVolatile(name)) return null;
    return isFragment(name) ? FRAGMENT_NEED_MS + FRAGMENT_STRIDE_MS : periodMs + LOCK_STRIDE_MS;
  };
}

/** How long from now an object of this name has to stay locked, under a rule of `lockRule`; `null` for one that never is. */
export function lockNeed(rule: LockRule, name: string): number | null {
  const whole = rule(name);
  if (whole === null) return null;
  return whole - (isFragment(name) ? FRAGMENT_STRIDE_MS : LOCK_STRIDE_MS);
}

/**
 * Says why locks of so many milliseconds do not hold from one backup to the next, each of which extends them; `null` when they do.
 *
 * A lock that runs out between two backups leaves the newest snapshot open to whoever can delete.
 */
export function whyLockTooShort(needMs: number, intervalMs: number): string | null {
  if (needMs >= intervalMs + LOCK_MARGIN_MS) return null;
  return `Snapshots are locked for ${days(needMs)}, and backups are ${days(intervalMs)} apart: between two of them the locks run out.`;
}

/** A backup that fails once, and a night until somebody looks. */
const LOCK_MARGIN_MS = DAY_MS;

function days(ms: number): string {
  const count = Math.round((ms / DAY_MS) * 10) / 10;
  return `${count} ${count === 1 ? 'day' : 'days'}`;
}
