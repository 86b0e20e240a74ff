import type { HoldfastError } from '../../lib/index.ts';
import type { DamageState, SnapshotRecord } from '../../repository/index.ts';
import type { PackFinding } from './pack-check.ts';
import type { WalFinding } from './wal-check.ts';

/** Why a snapshot cannot be restored as it was. */
export type SnapshotProblem =
  /** Parts of its list of files cannot be read, and so neither can the files below them. */
  | { readonly kind: 'tree'; readonly sentence: string }
  /** Contents are lost: how many files, and the first of them by name. */
  | { readonly kind: 'files'; readonly count: number; readonly names: readonly string[] }
  | { readonly kind: 'wal'; readonly sentence: string }
  /** Something of it may not be read by us, which says nothing about the snapshot. */
  | { readonly kind: 'unread'; readonly sentence: string };

/** What became of one snapshot. */
export interface SnapshotVerdict {
  readonly snapshot: SnapshotRecord;
  /** Empty for one that can be restored in full. */
  readonly problems: readonly SnapshotProblem[];
}

/** An object that cannot be read, and what is wrong with it. */
export interface UnreadableObject {
  readonly object: string;
  readonly sentence: string;
}

/** What one damaged object takes from one snapshot. */
export interface SnapshotCost {
  readonly snapshot: string;
  readonly cluster: string;
  readonly completedAt: string;
  /** How many files cannot be restored; all of them when the WAL that the snapshot needs is lost. */
  readonly files: number;
  readonly names: readonly string[];
}

/** A stretch of WAL that is lost, and the moments that cannot be restored for it (rule D5). Times in milliseconds since 1970. */
export interface WalCost {
  readonly system: string;
  readonly lineage: string;
  readonly cluster: string;
  readonly timeline: number;
  readonly lostStart: bigint;
  readonly lostEnd: bigint;
  /** Positions behind this one cannot be restored, */
  readonly from: bigint;
  /** up to the end of the next snapshot that was begun behind the loss; `null` when there is none yet. */
  readonly to: bigint | null;
  /** The last moment before that can be restored; `null` when it is not known. */
  readonly fromTime: number | null;
  /** The first moment behind it that can; `null` while there is none, or when it is not known. */
  readonly toTime: number | null;
}

/** One damaged object: what is wrong with it, what that costs, what to do. */
export interface DamagedObject {
  readonly object: string;
  readonly sentences: readonly string[];
  readonly state: DamageState;
  /** What it costs, in one line. */
  readonly costSentence: string;
  readonly snapshots: readonly SnapshotCost[];
  readonly wal: readonly WalCost[];
  /** What to do, whole sentences. */
  readonly advice: readonly string[];
}

/** Objects that no snapshot needs; they cost space only. */
export interface Unreferenced {
  /** Packs that no index object names, and packs in which no snapshot has a chunk. */
  readonly packs: number;
  readonly packBytes: number;
  /** Backups that were announced and not committed. */
  readonly pendingSnapshots: number;
  /** Statements about snapshots that are not there. */
  readonly attestations: number;
  /** Names that no version we know gives. */
  readonly foreign: readonly string[];
}

/** What a verification found. Bytes are stored ones, as they were read. */
export interface VerificationResult {
  /** Why the primary was not read, so that all of this is said of the copies; `null` when it was, and where one place alone was asked for. */
  readonly primaryAway: HoldfastError | null;
  readonly snapshots: readonly SnapshotVerdict[];
  readonly packsChecked: number;
  readonly chunksChecked: number;
  readonly walObjectsChecked: number;
  readonly bytesRead: number;
  readonly seconds: number;
  /** The part of the packs and WAL in scope that was read, in per cent; below 100 for a sample. */
  readonly percent: number;
  readonly damagedPacks: readonly PackFinding[];
  readonly damagedWal: readonly WalFinding[];
  /** Records of all kinds, index objects, key slots. */
  readonly unreadable: readonly UnreadableObject[];
  /** All of the above, with what each costs; healed ones are told, too. */
  readonly damage: readonly DamagedObject[];
  /** What we may not read: nothing is known about it. */
  readonly denied: readonly UnreadableObject[];
  /** Objects that could be read only when they were asked for again: a disk, a cable or memory that alters bytes. */
  readonly flaky: readonly string[];
  /** `null` unless everything was looked at. */
  readonly unreferenced: Unreferenced | null;
  /**
   * True when nothing was found that is not healed. New damage that harms no snapshot, as another copy is sound, counts as found: it is recorded,
   * and the next verification calls it healed. In a sample such damage does not count again: the other copy may not be among what was read.
   */
  readonly isSound: boolean;
}
