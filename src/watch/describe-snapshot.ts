import { HoldfastError } from '../lib/index.ts';
import { parseLsn } from '../postgres/index.ts';
import { locksOf, type PlaceLock } from '../protect/locks/index.ts';
import {
  contiguousEndIn,
  findLineage,
  type LineageInventory,
  newestTimeline,
  pathInLineage,
  readWalInventory,
  type WalInventory,
} from '../protect/wal/index.ts';
import {
  type Attestation,
  type AttestationLevel,
  committedName,
  type DamagedSnapshot,
  isMisdated,
  listAttestations,
  type RefusedAttestation,
  type Repository,
  type SnapshotRecord,
} from '../repository/index.ts';
import { findHarmedSnapshots } from './known-damage.ts';

/** How far the WAL that is stored reaches from the start of a snapshot's own range on. */
export interface SnapshotReach {
  /** The newest timeline that goes on from the snapshot's. */
  readonly timeline: number;
  /** The end of the unbroken WAL: the last position that the snapshot can be restored to, if it is not before its own end. */
  readonly to: bigint;
  /** Whether that covers what the snapshot cannot do without (rule A13). */
  readonly isComplete: boolean;
}

/** A snapshot with what is said about it elsewhere in the repository. */
export interface SnapshotDescription {
  readonly record: SnapshotRecord;
  /** The furthest that it was put to the test; `null` when nothing valid was attested. */
  readonly level: AttestationLevel | null;
  /** Whether damage that was found since keeps it from being restored whole. */
  readonly isDamaged: boolean;
  /** Whether it is dated later than the store took it: not by an honest clock (rule B2). */
  readonly isMisdated: boolean;
  readonly attestations: readonly Attestation[];
  readonly refusedAttestations: readonly RefusedAttestation[];
  /** Until when places keep all that it counts on locked, as was last attested: no request is spent on it. */
  readonly locks: readonly PlaceLock[];
  /** `null` when its lineage, or the history of its timeline, is not there. */
  readonly reach: SnapshotReach | null;
}

const levels: readonly AttestationLevel[] = ['stored', 'verified', 'proven'];

/** Describes every committed snapshot, or those of one cluster, oldest first; what cannot be read is told. Errors: those of the store. */
export async function listDescribedSnapshots(
  repository: Repository,
  cluster: string | undefined,
): Promise<{ snapshots: SnapshotDescription[]; damaged: readonly DamagedSnapshot[] }> {
  const { snapshots, damaged, storedAt } = await repository.listSnapshots();
  const inventory = await readWalInventory(repository);
  const harmed = await findHarmedSnapshots(repository);
  const described = [];
  for (const record of snapshots) {
    if (cluster === undefined || record.cluster === cluster)
      described.push(await describeSnapshot(repository, inventory, record, { harmed, storedAt }));
  }
  return { snapshots: described, damaged };
}

/**
 * Gathers what is known of a snapshot; `harmed` is of `findHarmedSnapshots`, `storedAt` of `listSnapshots`, and the store is asked without it. Errors: those of the store.
 */
export async function describeSnapshot(
  repository: Repository,
  inventory: WalInventory,
  record: SnapshotRecord,
  known: { harmed: ReadonlySet<string>; storedAt?: ReadonlyMap<string, number> },
): Promise<SnapshotDescription> {
  const { attestations, refused } = await listAttestations(repository, record.id);
  const level = levels.findLast((each) => attestations.some((attestation) => attestation.level === each));
  return {
    record,
    level: level ?? null,
    isDamaged: known.harmed.has(record.id),
    isMisdated: isMisdated(record, await whenStored(repository, record, known.storedAt)),
    attestations,
    refusedAttestations: refused,
    locks: locksOf(attestations),
    reach: findReach(inventory, record.wal),
  };
}

async function whenStored(
  { store }: Repository,
  { id }: SnapshotRecord,
  storedAt: ReadonlyMap<string, number> | undefined,
): Promise<number> {
  // A committed record that is gone is read from its pending one, about whose time nothing is said.
  return storedAt?.get(id) ?? (await store.stat(committedName(id)))?.modifiedAt ?? Number.POSITIVE_INFINITY;
}

function findReach(inventory: WalInventory, wal: SnapshotRecord['wal']): SnapshotReach | null {
  const [start, end] = [parseLsn(wal.start), parseLsn(wal.end)];
  try {
    const lineage = findLineage(inventory, wal.lineage);
    const timeline = findTimelineAhead(lineage, wal.timeline, end);
    const to = contiguousEndIn(lineage, timeline, start);
    return { timeline, to, isComplete: to >= end };
  } catch (error) {
    // Such a snapshot lacks its WAL, which is what is asked here.
    if (error instanceof HoldfastError && error.code.startsWith('WAL_')) return null;
    throw error;
  }
}

/** The newest timeline of the lineage if it was reached through this one after `end`, else this one. */
function findTimelineAhead(lineage: LineageInventory, timeline: number, end: bigint): number {
  const newest = newestTimeline(lineage);
  if (newest === timeline || (newest !== 1 && !lineage.histories.has(newest))) return timeline;
  const own = pathInLineage(lineage, newest).find((stretch) => stretch.timeline === timeline);
  return own !== undefined && (own.to === null || own.to >= end) ? newest : timeline;
}
