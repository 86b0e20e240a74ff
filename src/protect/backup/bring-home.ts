import { type Ledger, openLedger } from '../../ledger/index.ts';
import { type Clock, HoldfastError, type Progress } from '../../lib/index.ts';
import { parseLsn } from '../../postgres/index.ts';
import {
  acquireLease,
  attest,
  bringBack,
  committedName,
  DOUBTS_PREFIX,
  kindPrefix,
  type Lease,
  listOnlyInCopy,
  listTombstonedPacks,
  listTreeChunks,
  lockingPlaces,
  type ObjectStore,
  pendingName,
  RateLimit,
  type Repository,
  type SnapshotRecord,
  type StorePlace,
} from '../../repository/index.ts';
import { encodeLocks, keepLocks } from '../locks/index.ts';
import { endOfWal, findLineage, judgeOfSpool, listNeededWal, readWalInventory } from '../wal/index.ts';
import { type CopiedChunks, CopyIndexes } from './copied-chunks.ts';
import { findSnapshotsAway, type SnapshotAway } from './find-away.ts';
import { countChunks, obeyTombstones } from './stages/obey-tombstones.ts';
import { openStores } from './stages/open-stores.ts';

/** What became of one snapshot. `error`: why it stays in the copies for now; `null` when the primary lists it. */
export interface BroughtHome {
  readonly away: SnapshotAway;
  readonly objects: number;
  readonly bytes: number;
  readonly error: HoldfastError | null;
}

interface HomeOptions {
  /** Of all places, opened for writing while the primary answers. */
  readonly repository: Repository;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  /** The most that is brought in a second; what is stored again besides, and what proofs read, does not count. */
  readonly bytesPerSecond?: number;
  /** Stops at the WAL, which is little beside the rest; the snapshots stay away. */
  readonly walOnly?: boolean;
}

/**
 * Brings to the primary what was backed up while it was away: WAL, packs, index, pending record, and last the record by which it is listed.
 *
 * It may be stopped anywhere and begun again, also by several at once; one snapshot that cannot be brought keeps no other one back.
 * Errors: those of the primary, of the lease and of the ledger; what is wrong with one snapshot is in the result.
 */
export async function bringHome(options: HomeOptions): Promise<BroughtHome[]> {
  const { repository, progress, signal } = options;
  const found = await findSnapshotsAway(repository);
  if (found.length === 0) return [];
  progress.begin('bringing backups to the primary');
  await using lease = await acquireLease(repository, { purpose: 'bring-home' });
  const ledger = await openLedger(repository, options.stateDirectory);
  const { bytesPerSecond, clock } = options;
  const limit = bytesPerSecond === undefined ? null : new RateLimit(bytesPerSecond, clock);
  const paced = limit === null ? {} : { pace: (bytes: number) => limit.take(bytes, signal) };
  const brought: BroughtHome[] = [];
  using indexes = new CopyIndexes(repository, progress);
  for (const away of found) {
    signal?.throwIfAborted();
    const counted = { objects: 0, bytes: 0 };
    try {
      await bringOne({ ...options, ...paced, ledger, lease, indexes }, away, counted);
      brought.push({ away, ...counted, error: null });
    } catch (error) {
      if (!(error instanceof HoldfastError) || signal?.aborted === true) throw error;
      brought.push({ away, ...counted, error });
    }
  }
  return brought;
}

async function bringOne(
  options: HomeOptions & {
    ledger: Ledger;
    lease: Lease;
    indexes: CopyIndexes;
    pace?: (bytes: number) => Promise<void>;
  },
  { snapshot, copies }: SnapshotAway,
  counted: { objects: number; bytes: number },
): Promise<void> {
  const { repository, progress, pace, signal } = options;
  const primary = repository.store.places![0]!.store;
  const [copy] = copies;
  const judge = judgeOfSpool(repository);
  const bring = (names: readonly string[], accepts?: (name: string, from: ObjectStore) => Promise<boolean>) =>
    bringBack({
      ...{ provers: repository, from: copies, to: repository.store, names },
      ...(signal && { signal }),
      ...(pace && { pace }),
      ...(accepts && { accepts }),
      onObject: ({ bytes }) => {
        counted.objects += 1;
        counted.bytes += bytes;
        progress.advance(bytes);
      },
    });
  // Rule A4: another receiver may have stored other WAL for the same positions meanwhile.
  const wal = await listWal(repository, copy!, snapshot.wal);
  const [contradiction] = await judge.findContradictions(wal, copy!.store, primary);
  if (contradiction !== undefined) throw otherWal(contradiction.name);
  // Roots of the history are named last and needed first. WAL that the primary has from elsewhere need not be there twice.
  if (!(await hasWal(repository, primary, snapshot.wal)))
    for (const name of wal.toReversed()) await bring([name], (each, from) => judge.isSame(each, from, primary));
  if (!(await hasWal(repository, primary, snapshot.wal))) throw walLacking(snapshot);
  if (options.walOnly === true) return;
  // Of a copy that keeps what the primary has deleted, only what this snapshot needs; and index objects are made for it, as the copy's name other packs, too.
  const inCopies = await options.indexes.open(copies);
  const { packs, announced } = await findPacksNeeded(repository, inCopies, snapshot, copy!.name);
  await bring(packs);
  await repository.rebuildIndex({ lease: options.lease, ...(signal && { signal }) });
  await bring([pendingName(snapshot.id)]);
  // Rule A2: the lease and the pending record are there before tombstones are looked for.
  const locks = await secureChunks(options, snapshot, { announced, elsewhere: inCopies.readChunk });
  options.lease.assertHeld();
  // What the run found against older snapshots: once its own is listed, nobody looks here again.
  await bring(await listOnlyInCopy(primary, copy!.store, DOUBTS_PREFIX));
  const [isNew] = await bring([committedName(snapshot.id)]);
  await bring(await listOnlyInCopy(primary, copy!.store, `${kindPrefix('attestation')}${snapshot.id}/`));
  if (locks.length > 0) {
    const facts = { wal: snapshot.wal, locks: encodeLocks(locks) };
    await attest(repository, { snapshot: snapshot.id, level: 'stored', facts });
  }
  // Whoever put the record enters it: the run itself could not.
  if (isNew === undefined) return;
  const facts = { cluster: snapshot.cluster, bytes: snapshot.tree.bytes, takenIn: copy!.name, by: snapshot.writer };
  await options.ledger.append({ action: 'backup', outcome: 'done', subject: snapshot.id, facts });
}

/**
 * The packs of copies that have chunks of a snapshot which the primary does not have. What is announced in the primary is not brought there again: its chunks are
 * stored anew, whether its tombstone is still there by then or not; `announced` names it.
 *
 * Errors: `REPOSITORY_HOME_INCOMPLETE`; those of reading the tree in the copies, and of the primary's index.
 */
async function findPacksNeeded(
  repository: Repository,
  inCopies: CopiedChunks,
  snapshot: SnapshotRecord,
  copy: string,
): Promise<{ packs: string[]; announced: ReadonlySet<string> }> {
  const index = await repository.loadIndex();
  const isAnnounced = ({ packId }: { packId: Buffer }) => index.announced.has(packId.toString('hex'));
  try {
    const packs = new Set<string>();
    for await (const { id } of listTreeChunks(snapshot.tree.root, inCopies.readChunk)) {
      if (index.knows(id)) continue;
      const [location] = inCopies.lookup(id);
      if (location === undefined && !index.lookup(id).some(isAnnounced)) throw chunkLacking(inCopies, copy);
      if (location === undefined || isAnnounced(location)) continue;
      packs.add(kindPrefix('data-pack') + location.packId.toString('hex'));
    }
    return { packs: [...packs], announced: index.announced };
  } finally {
    index.close();
  }
}

async function listWal(repository: Repository, copy: StorePlace, wal: SnapshotRecord['wal']) {
  const inventory = await readWalInventory(repository.inPlace(copy.store), wal.system);
  return listNeededWal(copy.store, findLineage(inventory, wal.lineage), wal);
}

async function hasWal(repository: Repository, store: ObjectStore, wal: SnapshotRecord['wal']): Promise<boolean> {
  return endOfWal(await readWalInventory(repository.inPlace(store), wal.system), wal) >= parseLsn(wal.end);
}

/** What a pruner of the primary has announced to delete is stored again, and locks of older packs are extended, as by the backup itself. */
async function secureChunks(
  options: HomeOptions & { lease: Lease },
  snapshot: SnapshotRecord,
  { announced, elsewhere }: { announced: ReadonlySet<string>; elsewhere: CopiedChunks['readChunk'] },
) {
  const { repository, lease } = options;
  const hasLocks = lockingPlaces(repository.store).length > 0;
  const covered = await listTombstonedPacks(repository);
  // Asked after the listing, as below: what this run must know of may have been removed since it began.
  await lease.assertNotTooLong();
  if (!hasLocks && announced.size === 0 && covered.size === 0) return [];
  const stores = await openStores({ repository, lease, workers: 1, level: repository.format.compression.level });
  try {
    const obeyed = { known: new Set<string>(), alsoCovered: announced, elsewhere };
    await obeyTombstones({ repository, stores, snapshot, lease, ...obeyed });
    if (!hasLocks) return [];
    await countChunks({ repository, stores, snapshot });
    return await keepLocks({ ...options, snapshot, packs: stores.index.listPacksCountedOn() });
  } finally {
    await stores[Symbol.asyncDispose]();
  }
}

function otherWal(name: string): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_HOME_DIFFERS',
    `cannot bring a snapshot to the primary: it has other WAL than "${name}"`,
    {
      detail:
        'Expected the same WAL for the same positions, or none, found other bytes: another server wrote them, or another receiver followed another history.',
      hints: ['The snapshot can be restored from the copy that has it: holdfast restore --from.'],
    },
  );
}

/** So many parts of indexes are named. */
const UNREAD_MAX = 5;

function chunkLacking({ unread }: CopiedChunks, copy: string): HoldfastError {
  const named = unread.slice(0, UNREAD_MAX).join('; ');
  const more = unread.length > UNREAD_MAX ? `; and ${unread.length - UNREAD_MAX} more` : '';
  return new HoldfastError(
    'REPOSITORY_HOME_INCOMPLETE',
    'cannot bring a snapshot to the primary: no copy names a chunk that it needs',
    {
      detail: `Expected every chunk of the snapshot in the index of the primary or of a copy, found one in none of them.${unread.length === 0 ? '' : ` Could not read ${named}${more}.`}`,
      hints: [
        `Run \`holdfast verify --from ${copy}\` to see what of it is damaged.`,
        'Then `holdfast repository heal` mends what another place has whole; the next backup and `holdfast copies sync` bring the snapshot.',
      ],
    },
  );
}

function walLacking({ wal }: SnapshotRecord): HoldfastError {
  return new HoldfastError('BACKUP_WAL_MISSING', 'could not bring a snapshot to the primary: its WAL is not there', {
    detail: `Expected WAL from ${wal.start} to ${wal.end} in a copy, found a part of it.`,
    hints: ['The next backup, holdfast copies sync and holdfast wal stream try again.'],
    retryable: true,
  });
}
