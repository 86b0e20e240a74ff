/**
 * What a store promises, in the order in which it is told.
 *
 * `create-once`: a second object of a name is refused. `create-once-at-once`: also when several come at the same moment. `read-after-write`: the bytes
 * that were put come back. `ranged-read`: any part of them does. `list-after-write`: an object is listed as soon as it is stored. `overwrite`: below
 * `volatile/` the newest bytes come back. `delete`: what was removed is gone. `versioning`, `lock`: what the place says of itself. `clock`: its time.
 */
export const storePromises = [
  'create-once',
  'create-once-at-once',
  'read-after-write',
  'ranged-read',
  'list-after-write',
  'overwrite',
  'delete',
  'versioning',
  'lock',
  'clock',
] as const;

export type StorePromise = (typeof storePromises)[number];

/** `not-offered`: the place does without, and says so. `unseen`: it could not be tried, or the place does not say. */
export type PromiseOutcome = 'kept' | 'broken' | 'not-offered' | 'unseen';

/** What became of one promise; `found` and `expected` are words for people that go on behind "found" and "expected". */
export interface ProbeFinding {
  readonly outcome: PromiseOutcome;
  readonly found: string;
  readonly expected: string;
}

/** How a store behaved. */
export interface StoreProbe {
  readonly findings: Readonly<Record<StorePromise, ProbeFinding>>;
  /** What one small object took to become durable, and to be read, in milliseconds. */
  readonly writeMs: number;
  readonly readMs: number;
  /** The least by which the store's clock differs from ours, in milliseconds; positive when it is ahead. */
  readonly offsetMs: number;
  /** Objects of this probe that could not be removed. */
  readonly leftBehind: readonly string[];
}
