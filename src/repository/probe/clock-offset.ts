import type { Clock } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';

/** Leases, retention and locks are reckoned by the store's time, and what it is told by ours; a minute apart, none of them means what it says. */
export const STORE_CLOCK_OFFSET_MS_MAX = 60_000;

/** What is told in whole seconds may be up to so much younger; the dates of some file systems are of two. */
const CLOCK_RESOLUTION_MS = 1000;
const DATE_RESOLUTION_MS = 2000;

/** One reading of the store's time, taken between two of ours. All in milliseconds since 1970. */
export interface TimeTold {
  readonly theirs: number;
  readonly resolutionMs: number;
  readonly from: number;
  readonly until: number;
}

/** Asks the store for its time. Errors: those of the store. */
export async function clockTold(store: ObjectStore, clock: Clock): Promise<TimeTold> {
  const from = clock.now();
  const theirs = await store.now();
  return { theirs, resolutionMs: theirs % 1000 === 0 ? CLOCK_RESOLUTION_MS : 0, from, until: clock.now() };
}

/** The date that the store gave to an object which was put between two readings of our clock; `null` when it does not show the object. */
export async function dateTold(
  store: ObjectStore,
  name: string,
  put: { from: number; until: number },
): Promise<TimeTold | null> {
  const object = await store.stat(name);
  if (object === null) return null;
  return { theirs: object.modifiedAt, resolutionMs: DATE_RESOLUTION_MS, from: put.from, until: put.until };
}

/**
 * The least difference that each reading allows, and the greatest of these: nothing is called wrong that a slow answer or a coarse clock explains.
 */
export function leastOffset(readings: readonly (TimeTold | null)[]): number {
  const offsets = readings.map((reading) => (reading === null ? 0 : leastOf(reading)));
  return offsets.reduce((worst, offset) => (Math.abs(offset) > Math.abs(worst) ? offset : worst), 0);
}

function leastOf({ theirs, resolutionMs, from, until }: TimeTold): number {
  const [least, greatest] = [theirs - until, theirs + resolutionMs - from];
  return least > 0 ? least : Math.min(greatest, 0);
}
