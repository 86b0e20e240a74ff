import type { PlaceLock } from '../protect/locks/index.ts';
import { isoTime, type Json } from './output/index.ts';

/** The moment up to which some place keeps a snapshot untouchable; `null` when none ever did. Milliseconds since 1970. */
export function lockedUntil(locks: readonly PlaceLock[]): number | null {
  return locks.length === 0 ? null : Math.max(...locks.map(({ until }) => until));
}

/** That moment, and what each place says, for JSON. */
export function lockDocument(locks: readonly PlaceLock[]): { readonly [key: string]: Json } {
  const until = lockedUntil(locks);
  return {
    lockedUntil: until === null ? null : isoTime(until),
    locks: locks.map((lock) => ({ place: lock.place, until: isoTime(lock.until) })),
  };
}
