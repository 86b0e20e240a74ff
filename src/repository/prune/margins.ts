import { LONGEST_RUN_MS } from '../lease/index.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How long what is waited for, in milliseconds of the store's time; each is argued in `docs/prune.md`. */
export interface PruneMargins {
  /** From the announcement of a pack to its deletion: twice what a listing may be too old. */
  readonly graceMs: number;
  /** The same, of a pack whose chunks went on elsewhere: whoever restores may have read an index that names it. */
  readonly movedMs: number;
  /** How old a pack has to be that no root needs: the next backup uses what a killed one stored. */
  readonly leftoverMs: number;
  /** How old a pending record has to be, without a lease, before it is withdrawn. */
  readonly withdrawMs: number;
  /** A tombstone is kept for so long at least: longer than any run that has read the index before it was written. */
  readonly tombstoneMs: number;
  /** So long a withdrawal keeps its snapshot from being committed. */
  readonly withdrawalMs: number;
  /** Leases that are over are removed after so long. */
  readonly leaseMs: number;
}

export const DEFAULT_MARGINS: PruneMargins = {
  graceMs: HOUR_MS,
  movedMs: DAY_MS,
  leftoverMs: 2 * DAY_MS,
  withdrawMs: HOUR_MS,
  tombstoneMs: LONGEST_RUN_MS + DAY_MS,
  withdrawalMs: 366 * DAY_MS,
  leaseMs: DAY_MS,
};

/** Times of a store are whole seconds, and a lease says what the store's clock was a moment before it was put. */
export const SKEW_MS = 2 * 60_000;

/** A pack with less than this share of live bytes is repacked (rule C5). */
export const LIVE_SHARE_MIN = 0.3;

/** Packs in one tombstone: a record of some 70 kB. */
export const TOMBSTONE_PACKS_MAX = 1000;

/** Index objects that are less than a quarter full are joined when there are more of them: each costs a request at every opening. */
export const SMALL_INDEX_OBJECTS_MAX = 64;
