import { formatDuration, HoldfastError, messageOf, type Progress } from '../../../lib/index.ts';
import { formatLsn, parseLsn } from '../../../postgres/index.ts';
import {
  committedName,
  FORMAT_NAME,
  kindPrefix,
  pendingName,
  type Repository,
  type SnapshotRecord,
  type StorePlace,
  type UntilCopiedOptions,
} from '../../../repository/index.ts';
import { endOfWal, findLineage, listNeededWal, readWalInventory } from '../../wal/index.ts';

/** Without these a snapshot cannot be found or read, in the order in which they need each other. */
const ALWAYS_NEEDED = ['keys/', 'features/', FORMAT_NAME, 'damage/', 'packs/'];

/** Fragments become segments while they are on their way: then the segment is what has to be brought. */
const ROUNDS_MAX = 5;

/**
 * Waits until every required copy holds all that a snapshot needs (rule A13), before it is listed. What the copy has of the WAL is looked at in the
 * copy. At once where no copy is required.
 *
 * Errors: REPOSITORY_COPY_AWAY, REPOSITORY_COPY_FOREIGN, REPOSITORY_COPY_DIFFERS; BACKUP_COPY_LACKS_WAL; those of the primary.
 */
export async function requireCopies(options: {
  repository: Repository;
  snapshot: SnapshotRecord;
  progress: Progress;
  signal?: AbortSignal;
}): Promise<void> {
  const { repository, snapshot, progress, signal } = options;
  const required = requiredCopies(repository);
  if (required.length === 0) return;
  progress.begin('waiting for copies');
  const given: UntilCopiedOptions = {
    ...(signal === undefined ? {} : { signal }),
    onWait: ({ place, error, msMax }) =>
      progress.note(`the required copy "${place}" is waited for, ${formatDuration(msMax)} at most: ${error.message}`),
  };
  await repository.store.untilCopied?.(ALWAYS_NEEDED, given);
  for (let round = 1; ; round++) {
    const inventory = await readWalInventory(repository, snapshot.wal.system);
    const lineage = findLineage(inventory, snapshot.wal.lineage);
    const wal = await listNeededWal(repository.store, lineage, snapshot.wal);
    // The names that say which history it is of come last, and are needed first.
    await repository.store.untilCopied?.(wal.toReversed(), given);
    const lacking = await findLacking(repository, required, snapshot);
    if (lacking === null) break;
    if (round === ROUNDS_MAX) throw lacking;
  }
  await repository.store.untilCopied?.([kindPrefix('index'), pendingName(snapshot.id)], given);
}

/** The record itself, once it is written: it is listed, whatever becomes of this. */
export async function bringRecord(repository: Repository, snapshot: SnapshotRecord, progress: Progress): Promise<void> {
  if (requiredCopies(repository).length === 0) return;
  try {
    await repository.store.untilCopied?.([committedName(snapshot.id)]);
  } catch (error) {
    progress.note(`the record of the backup is not in every required copy yet: ${messageOf(error)}`);
  }
}

function requiredCopies({ store }: Repository): StorePlace[] {
  return (store.places ?? []).slice(1).filter((place) => place.required);
}

async function findLacking(
  repository: Repository,
  places: readonly StorePlace[],
  { wal }: SnapshotRecord,
): Promise<HoldfastError | null> {
  for (const place of places) {
    const inventory = await readWalInventory(repository.inPlace(place.store), wal.system);
    const end = endOfWal(inventory, wal);
    if (end < parseLsn(wal.end)) return copyLacksWal(place, wal, end);
  }
  return null;
}

function copyLacksWal(place: StorePlace, wal: SnapshotRecord['wal'], end: bigint): HoldfastError {
  return new HoldfastError(
    'BACKUP_COPY_LACKS_WAL',
    `could not list the backup: copy "${place.name}" does not have its WAL`,
    {
      detail: `Expected WAL from ${wal.start} to ${wal.end} in ${place.store.description}, found it up to ${formatLsn(end)}.`,
      hints: ['Run `holdfast copies sync`, then take the backup again.'],
      retryable: true,
    },
  );
}
