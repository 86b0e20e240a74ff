import type { ObstacleCode, SnapshotFacts } from './facts.ts';
import type { CalendarRule } from './rules.ts';

/** Why a snapshot is kept. */
export type KeepReason =
  /** `until`: when it is older than the rule says. */
  | { readonly kind: 'within'; readonly until: number }
  /** `bucket` as people write it: `2026-11-23 14:00`, `2026-11-23`, `2026-W48`, `2026-11`, `2026`; `rank` from 1, the newest that has a snapshot. `sound` is false where the bucket has none that is. */
  | {
      readonly kind: CalendarRule;
      readonly bucket: string;
      readonly rank: number;
      readonly of: number;
      readonly sound: boolean;
    }
  | { readonly kind: 'at-least'; readonly rank: number; readonly of: number }
  | { readonly kind: 'tag'; readonly tag: string }
  | {
      readonly kind: 'hold';
      readonly hold: string;
      readonly who: string;
      readonly why: string;
      readonly until: number | null;
    }
  | { readonly kind: 'newest-sound' }
  | { readonly kind: 'newest-proven' }
  /** What was within `keepWithin` when no sound snapshot came for longer than that: until so many came afterwards as always stay. */
  | {
      readonly kind: 'failures';
      readonly from: number;
      readonly to: number;
      readonly came: number;
      readonly of: number;
    }
  /** The PITR window of a lineage begins with it. */
  | { readonly kind: 'wal-window'; readonly lineage: string; readonly since: number }
  /** The first one behind a hole in the WAL of the window. */
  | { readonly kind: 'after-gap'; readonly lineage: string; readonly end: bigint }
  /** Accepted, and dated behind now. */
  | { readonly kind: 'dated-ahead'; readonly until: number }
  /** The rules would let it go, and nothing is forgotten now. */
  | { readonly kind: 'refused'; readonly instead: string };

export interface KeptSnapshot {
  readonly snapshot: SnapshotFacts;
  /** One at least. */
  readonly reasons: readonly KeepReason[];
  /** Why it is kept, as a whole sentence. */
  readonly sentence: string;
}

export interface ForgottenSnapshot {
  readonly snapshot: SnapshotFacts;
  /** Why it goes, as a whole sentence. */
  readonly reason: string;
}

/** WAL that has to stay: of every timeline of a lineage from one position up to, and without, another. */
export interface WalNeed {
  readonly system: string;
  readonly lineage: string;
  readonly from: bigint;
  /** `null`: all that is there and will come. */
  readonly to: bigint | null;
  /** As whole sentences. */
  readonly reasons: readonly string[];
}

/** Why nothing is forgotten at all. */
export interface RefusalReason {
  readonly code: ObstacleCode | 'no-sound-snapshot' | 'dates-ahead' | 'dates-behind' | 'flood';
  /** A whole sentence. */
  readonly sentence: string;
  /** What to type or check. */
  readonly hint: string;
  /** Which snapshots it is about, where it is about some. */
  readonly snapshots: readonly string[];
}

export interface Refusal {
  /** One at least. */
  readonly reasons: readonly RefusalReason[];
}

/** What is to be kept and what may go of one cluster, newest first. With a `refusal`, `forget` is empty and all WAL is needed. */
export interface Decision {
  readonly cluster: string;
  readonly now: number;
  readonly keep: readonly KeptSnapshot[];
  readonly forget: readonly ForgottenSnapshot[];
  /** By lineage and position; needs of one lineage neither overlap nor touch. A lineage that is not named here is needed by nothing. The first object and the histories of a lineage stay as long as anything of it, or of a lineage that descends from it, is needed. */
  readonly wal: readonly WalNeed[];
  /** The earliest moment from which on every moment can be reached, as far as snapshots tell; `null` without a sound one. */
  readonly reachableSince: number | null;
  readonly refusal: Refusal | null;
}
