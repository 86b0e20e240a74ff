import { z } from 'zod';
import type { Attestation } from '../../repository/index.ts';

/** Until when a snapshot, with all that it counts on, is locked in one place. Milliseconds since 1970. */
export interface PlaceLock {
  readonly place: string;
  readonly until: number;
}

const lockFacts = z.array(z.object({ place: z.string(), until: z.iso.datetime() }));

/** The form in which a statement about a snapshot carries its locks. */
export function encodeLocks(locks: readonly PlaceLock[]): { place: string; until: string }[] {
  return locks.map(({ place, until }) => ({ place, until: new Date(until).toISOString() }));
}

/**
 * What statements say about the locks of a snapshot: of each place the furthest that was ever seen, as locks are not shortened.
 *
 * A hint that costs no request; what the store says now is read by `checkLocks`.
 */
export function locksOf(attestations: readonly Attestation[]): PlaceLock[] {
  const furthest = new Map<string, number>();
  for (const { facts } of attestations) {
    const stated = lockFacts.safeParse(facts.locks);
    for (const { place, until } of stated.data ?? []) {
      furthest.set(place, Math.max(Date.parse(until), furthest.get(place) ?? 0));
    }
  }
  return [...furthest].map(([place, until]) => ({ place, until }));
}
