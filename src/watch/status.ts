import type { PlaceLock } from '../protect/locks/index.ts';
import type { JudgedSpace, LsnRange } from '../protect/wal/index.ts';
import type { CopiesAlone } from './describe-snapshot.ts';

/** One thing that a person should know. */
export interface Finding {
  /** `problem`: something is wrong now. `notice`: all is well, and yet. */
  readonly severity: 'problem' | 'notice';
  /** Kebab-case, for programs. */
  readonly code: string;
  /** What is so, one whole sentence. */
  readonly sentence: string;
  /** What to do, one whole sentence; `null` when there is nothing to do. */
  readonly advice: string | null;
}

/** The newest snapshot of a cluster. Times in milliseconds since 1970. */
export interface SnapshotFacts {
  readonly id: string;
  readonly completedAt: number;
  /** What the server said of damaged pages while it was backed up; empty when it found none. */
  readonly checksumFailures: readonly string[];
  /** The furthest that it was put to the test; `null` when nothing was attested. */
  readonly level: 'stored' | 'verified' | 'proven' | null;
  /** Whether damage that was found since keeps it from being restored whole. */
  readonly isDamaged: boolean;
  /** Whether a cross-check found that what it holds may not be what the server had (rule A9). */
  readonly isDoubtful: boolean;
  /** Where it is, as it was taken while the primary was away; `null` for one that the primary lists. */
  readonly onlyIn: CopiesAlone | null;
  /** Until when places keep all that it counts on locked; empty when none does. */
  readonly locks: readonly PlaceLock[];
  readonly lineage: string;
  readonly timeline: number;
  readonly walStart: bigint;
  readonly walEnd: bigint;
  /** How far WAL is stored without a gap from its start on: the last position that it can be restored to. */
  readonly restorableTo: bigint;
}

/** The WAL that is kept of a cluster now. Times in milliseconds since 1970. */
export interface WalFacts {
  readonly system: string;
  readonly lineage: string;
  readonly timeline: number;
  readonly durableLsn: bigint;
  readonly segmentBytes: number;
  /** Holes in the lineage's newest history, each with what it costs in a whole sentence. */
  readonly gaps: readonly (LsnRange & { readonly cost: string })[];
  readonly receiver: ReceiverFacts | null;
  /** When a receiver that is to run on, and does not only help a backup, was last heard of; `null` where none ever was. */
  readonly streamedAt: number | null;
  readonly push: PushFacts | null;
}

/** What came last as a file. */
export interface PushFacts {
  readonly saidAt: number;
  readonly file: string;
  readonly endLsn: bigint | null;
}

/** What the last receiver said of itself. */
export interface ReceiverFacts {
  /** Whether one seems to run now. */
  readonly running: boolean;
  readonly saidAt: number;
  /** All that the server had flushed at this moment is durable; `null` before the first. */
  readonly knownUntil: number | null;
  readonly synchronous: boolean | null;
  /** What WAL takes on the server; `null` when that is not known. */
  readonly space: JudgedSpace | null;
}

/** What the server itself says, when it was asked. */
export type ServerFacts =
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'unreachable'; readonly sentence: string }
  | { readonly kind: 'answered'; readonly system: string; readonly timeline: number; readonly flushLsn: bigint };

/** All that is known of one cluster. */
export interface ClusterFacts {
  readonly cluster: string;
  /** Milliseconds since 1970, by the store's clock. */
  readonly now: number;
  readonly snapshotCount: number;
  /** Ids of those that are dated later than the store took them. */
  readonly misdated: readonly string[];
  readonly newest: SnapshotFacts | null;
  /** Between the last two snapshots; `null` when there is only one. */
  readonly backupIntervalMs: number | null;
  readonly wal: WalFacts | null;
  readonly server: ServerFacts;
}

export interface ClusterStatus extends ClusterFacts {
  readonly findings: readonly Finding[];
}

export interface ProtectionStatus {
  readonly clusters: readonly ClusterStatus[];
  /** About the repository as a whole: damage, and nothing kept at all. */
  readonly findings: readonly Finding[];
  /** False when any finding is a problem. */
  readonly isWell: boolean;
}
