import { type Doubts, readDoubts, takenInOf } from '../protect/backup/index.ts';
import { locksOf, type PlaceLock } from '../protect/locks/index.ts';
import { findReach, readWalInventory, type SnapshotReach, type WalInventory } from '../protect/wal/index.ts';
import {
  type Attestation,
  committedName,
  type DamagedSnapshot,
  type Doubt,
  isMisdated,
  isPlaceTrouble,
  listAttestations,
  type ProofLevel,
  type RefusedAttestation,
  type Repository,
  type SnapshotRecord,
  type StorePlace,
} from '../repository/index.ts';
import { findHarmedSnapshots } from './known-damage.ts';

/** Which copies have a snapshot that was taken while the primary was away. */
export interface CopiesAlone {
  /** Their names. */
  readonly copies: readonly string[];
  /** Whether the primary has said that it does not list it. False while it does not answer: by now it may. */
  readonly isPrimaryAsked: boolean;
}

/** A snapshot with what is said about it elsewhere in the repository. */
export interface SnapshotDescription {
  readonly record: SnapshotRecord;
  /** The furthest that it was put to the test; `null` when nothing valid was attested. */
  readonly level: ProofLevel | null;
  /** Whether damage that was found since keeps it from being restored whole. */
  readonly isDamaged: boolean;
  /** Whether a cross-check found that what it holds may not be what the server had (rule A9), or of what it stands on. */
  readonly isDoubtful: boolean;
  /** What was found then, oldest first. */
  readonly doubts: readonly Doubt[];
  /** Whether it is dated later than the store took it: not by an honest clock (rule B2). */
  readonly isMisdated: boolean;
  /** Where it is, as it was taken while the primary was away; `null` once the primary lists it, as ever otherwise. */
  readonly onlyIn: CopiesAlone | null;
  readonly attestations: readonly Attestation[];
  readonly refusedAttestations: readonly RefusedAttestation[];
  /** Until when places keep all that it counts on locked, as was last attested: no request is spent on it. */
  readonly locks: readonly PlaceLock[];
  /** `null` when its lineage, or the history of its timeline, is not there. */
  readonly reach: SnapshotReach | null;
}

const levels: readonly ProofLevel[] = ['stored', 'verified', 'proven'];

/** Describes every committed snapshot, or those of one cluster, oldest first; what cannot be read is told. Errors: those of the store. */
export async function listDescribedSnapshots(
  repository: Repository,
  cluster: string | undefined,
): Promise<{ snapshots: SnapshotDescription[]; damaged: readonly DamagedSnapshot[] }> {
  const { snapshots, damaged, storedAt } = await repository.listSnapshots();
  const inventory = await readWalInventory(repository);
  const harmed = await findHarmedSnapshots(repository);
  const doubts = await readDoubts(repository, snapshots);
  const described = [];
  for (const record of snapshots) {
    if (cluster === undefined || record.cluster === cluster)
      described.push(await describeSnapshot(repository, inventory, record, { harmed, doubts, storedAt }));
  }
  return { snapshots: described, damaged };
}

/**
 * Gathers what is known of a snapshot; `harmed` is of `findHarmedSnapshots`, `doubts` of `readDoubts`, `storedAt` of `listSnapshots`, and the store is asked without it. Errors: those of the store.
 */
export async function describeSnapshot(
  repository: Repository,
  inventory: WalInventory,
  record: SnapshotRecord,
  known: { harmed: ReadonlySet<string>; doubts: Doubts; storedAt?: ReadonlyMap<string, number> },
): Promise<SnapshotDescription> {
  const { attestations, refused } = await listAttestations(repository, record.id);
  const level = levels.findLast((each) => attestations.some((attestation) => attestation.level === each));
  return {
    record,
    level: level ?? null,
    isDamaged: known.harmed.has(record.id),
    isDoubtful: known.doubts.isAbout(record.id),
    doubts: known.doubts.about(record.id),
    isMisdated: isMisdated(record, await whenStored(repository, record, known.storedAt)),
    onlyIn: await findCopiesAlone(repository, record),
    attestations,
    refusedAttestations: refused,
    locks: locksOf(attestations),
    reach: findReach(inventory, record.wal),
  };
}

/** Asks the places about a snapshot that bears the mark, and about no other. */
async function findCopiesAlone({ store }: Repository, record: SnapshotRecord): Promise<CopiesAlone | null> {
  const takenIn = takenInOf(record);
  const [primary, ...copies] = store.places ?? [];
  if (takenIn === null || primary === undefined) return null;
  // `null` for a place that does not answer.
  const lists = async (place: StorePlace) => {
    try {
      return (await place.store.stat(committedName(record.id))) !== null;
    } catch (error) {
      if (!isPlaceTrouble(error)) throw error;
      return null;
    }
  };
  const isInPrimary = await lists(primary);
  if (isInPrimary === true) return null;
  const having: string[] = [];
  for (const copy of copies) if ((await lists(copy)) === true) having.push(copy.name);
  return { copies: having, isPrimaryAsked: isInPrimary !== null };
}

async function whenStored(
  { store }: Repository,
  { id }: SnapshotRecord,
  storedAt: ReadonlyMap<string, number> | undefined,
): Promise<number> {
  // A committed record that is gone is read from its pending one, about whose time nothing is said.
  return storedAt?.get(id) ?? (await store.stat(committedName(id)))?.modifiedAt ?? Number.POSITIVE_INFINITY;
}
