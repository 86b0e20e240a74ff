import type { SnapshotRecord } from '../../repository/index.ts';
import type { PackFinding } from './pack-check.ts';
import type { WalFinding } from './wal-check.ts';

/** Why a snapshot cannot be restored as it was. */
export type SnapshotProblem =
  /** Its list of files cannot be read to the end. */
  | { readonly kind: 'tree'; readonly sentence: string }
  /** Contents are lost: how many files, and the first of them by name. */
  | { readonly kind: 'files'; readonly count: number; readonly names: readonly string[] }
  | { readonly kind: 'wal'; readonly sentence: string };

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

/** What a verification found. Bytes are stored ones, as they were read. */
export interface VerificationResult {
  readonly snapshots: readonly SnapshotVerdict[];
  readonly packsChecked: number;
  readonly chunksChecked: number;
  readonly walObjectsChecked: number;
  readonly bytesRead: number;
  readonly seconds: number;
  readonly damagedPacks: readonly PackFinding[];
  readonly damagedWal: readonly WalFinding[];
  /** Records of all kinds, index objects, key slots. */
  readonly unreadable: readonly UnreadableObject[];
  /** True when nothing at all was found. Damage that harms no snapshot, as another copy is sound, counts as found. */
  readonly isSound: boolean;
}
