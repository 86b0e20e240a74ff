import type { Hold, ProofLevel } from '../../repository/index.ts';
import type { LsnRange } from '../wal/index.ts';
import type { RetentionRules } from './rules.ts';

/** What retention has to know of one snapshot. Times are milliseconds since 1970. */
export interface SnapshotFacts {
  readonly id: string;
  readonly cluster: string;
  /** What its writer says; only a word. */
  readonly completedAt: number;
  /** The earliest moment, in the store's own time, at which any place took its pending or committed record. */
  readonly storedAt: number;
  /** The furthest that it was put to the test; `null` when nothing valid was attested. */
  readonly level: ProofLevel | null;
  /** What keeps it from counting as a good one besides: damage, a cross-check, WAL of its range that is not there. In words for people; empty for a good one. */
  readonly doubts: readonly string[];
  readonly tags: readonly string[];
  /** The WAL without which it is worth nothing. */
  readonly wal: SnapshotWal;
}

export interface SnapshotWal extends LsnRange {
  readonly system: string;
  readonly lineage: string;
  readonly timeline: number;
}

/** What retention has to know of one lineage of WAL. */
export interface LineageFacts {
  readonly system: string;
  readonly lineage: string;
  /** Where it left another one. */
  readonly parent: { readonly lineage: string; readonly forkTimeline: number; readonly forkLsn: bigint } | null;
  /** When the store took its first object, and the newest of its WAL (0 when there is none). Milliseconds since 1970. */
  readonly beganAt: number;
  readonly grewAt: number;
  /** For each of its timelines that can be followed, the stretches that lead to it, oldest first; `to` is `null` on the last. */
  readonly paths: ReadonlyMap<number, readonly { readonly timeline: number; readonly to: bigint | null }[]>;
  readonly newestTimeline: number;
  /** What lies between its unbroken runs of WAL. */
  readonly gaps: readonly LsnRange[];
}

/** Something for which nothing may be forgotten, found by whoever gathered the facts: a record that cannot be read, a ledger that went back. */
export interface Obstacle {
  readonly code: ObstacleCode;
  /** A whole sentence for people. */
  readonly sentence: string;
  readonly hint: string;
}

export type ObstacleCode =
  | 'snapshot-unreadable'
  | 'hold-unreadable'
  | 'wal-unreadable'
  | 'hold-hidden'
  | 'snapshot-hidden'
  | 'heads-regressed'
  | 'other';

/** All that the decision about one cluster is made from. The order of lists is of no importance. */
export interface PolicyInput {
  readonly cluster: string;
  readonly rules: RetentionRules;
  /** The store's own time. */
  readonly now: number;
  /** Every snapshot of the cluster. */
  readonly snapshots: readonly SnapshotFacts[];
  /** Every lineage of the cluster, of any system. */
  readonly lineages: readonly LineageFacts[];
  /** Every hold of the repository that was not removed; those of other clusters, and those that are over, are passed over. */
  readonly holds: readonly Hold[];
  readonly obstacles: readonly Obstacle[];
  /** How long after a good snapshot the next one is expected at the latest; `null` when nobody said, which is taken for two days. */
  readonly soundAgeMax: number | null;
  /** Snapshots whose dates and number a person has looked at and accepts: they are no anomaly any more, and their writers' dates are taken. */
  readonly accepted: ReadonlySet<string>;
}
