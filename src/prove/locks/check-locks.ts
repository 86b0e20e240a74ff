import { inLanes, type Progress } from '../../lib/index.ts';
import { findReplacedIndex, listAlwaysNeeded, locksOf } from '../../protect/locks/index.ts';
import { listNeededWalInPlace, readWalInventory, type WalInventory } from '../../protect/wal/index.ts';
import {
  type ChunkIndex,
  committedName,
  isAbsent,
  kindPrefix,
  listAttestations,
  listTreeChunks,
  lockingPlaces,
  type Repository,
  type SnapshotRecord,
  type StorePlace,
} from '../../repository/index.ts';

/** What one place says of the locks of all that a snapshot counts on. Times in milliseconds since 1970. */
export interface CheckedPlace {
  readonly place: string;
  /** Until when all of it is locked; `null` when some of it is not locked now. */
  readonly until: number | null;
  /** What statements say about it; `null` when there are none. */
  readonly attested: number | null;
  readonly objects: number;
  /** Objects that are not locked now, the first few by name. */
  readonly unlocked: readonly string[];
  readonly unlockedCount: number;
  /** Objects that the place does not have. */
  readonly absentCount: number;
  /** Whether a lock that was attested is no longer there on something that is: somebody who owns the place took it away, or shortened it. */
  readonly isShortened: boolean;
  /** Whether the place does not have something although it was attested that all of it is locked there. */
  readonly isGone: boolean;
}

export interface CheckedLocks {
  readonly snapshot: SnapshotRecord;
  readonly places: readonly CheckedPlace[];
}

/** A place, what WAL it has, and what it said of locks so far. */
interface AskedPlace {
  readonly place: StorePlace;
  readonly inventory: WalInventory;
  /** Index objects that are to be deleted once their locks end: nobody extends these. */
  readonly replaced: ReadonlySet<string>;
  readonly locks: Map<string, number | null>;
}

/** So many names are told of each place. */
const NAMES_MAX = 5;
/** Requests under way at once. */
const LANES = 32;
/** Stores keep whole seconds. */
const ROUNDING_MS = 1000;

/**
 * Asks each place for the lock of every object that snapshots count on, whatever was attested of them.
 *
 * A chunk that lies in several packs is as locked as the best of them. Reads lists of files, no contents. Errors: those of the store and of reading the
 * tree; the signal's reason.
 */
export async function checkLocks(options: {
  repository: Repository;
  snapshots: readonly SnapshotRecord[];
  progress: Progress;
  signal?: AbortSignal;
}): Promise<CheckedLocks[]> {
  const { repository, snapshots, progress, signal } = options;
  const places = lockingPlaces(repository.store);
  if (places.length === 0) return snapshots.map((snapshot) => ({ snapshot, places: [] }));
  using cleanup = new DisposableStack();
  const index = await repository.loadIndex();
  cleanup.defer(() => index.close());
  const all = { store: repository.store, inventory: await readWalInventory(repository) };
  const asked: AskedPlace[] = [];
  for (const place of places) {
    const inventory = await readWalInventory(repository.inPlace(place.store));
    const replaced = await findReplacedIndex(repository, place, progress);
    asked.push({ place, inventory, replaced, locks: new Map() });
  }
  const checked: CheckedLocks[] = [];
  for (const snapshot of snapshots) {
    progress.begin('reading lists of files', { unit: 'chunks' });
    const packs = await findPacks(repository, index, snapshot, () => {
      signal?.throwIfAborted();
      progress.advance(1);
    });
    const { attestations } = await listAttestations(repository, snapshot.id);
    const attested = new Map(locksOf(attestations).map(({ place, until }) => [place, until]));
    const found: CheckedPlace[] = [];
    progress.begin('asking for locks');
    for (const { place, inventory, replaced, locks } of asked) {
      const wal = await listNeededWalInPlace({ store: place.store, inventory }, async () => all, snapshot.wal);
      const names = [...(await listNames(place, index, snapshot)), ...wal].filter((name) => !replaced.has(name));
      await askLocks(place, [...names, ...packs.flat()], locks);
      const groups = [...names.map((name) => [name]), ...packs];
      found.push(judgePlace(place.name, groups, locks, await place.store.now(), attested.get(place.name) ?? null));
    }
    checked.push({ snapshot, places: found });
  }
  return checked;
}

/** Names of packs: of each group one is enough, as all of them hold the same chunks of the snapshot. */
async function findPacks(
  repository: Repository,
  index: ChunkIndex,
  snapshot: SnapshotRecord,
  onChunk: () => void,
): Promise<string[][]> {
  const reader = repository.openChunkReader(index);
  const groups = new Map<string, number[]>();
  for await (const { id } of listTreeChunks(snapshot.tree.root, reader.readChunk)) {
    const numbers = index.lookup(id).map(({ packNumber }) => packNumber);
    groups.set(numbers.join(), numbers);
    onChunk();
  }
  return [...groups.values()].map((numbers) =>
    numbers.map((number) => kindPrefix('data-pack') + index.packOf(number).packId.toString('hex')),
  );
}

async function listNames({ store }: StorePlace, index: ChunkIndex, { id }: SnapshotRecord): Promise<string[]> {
  // What somebody put among the index objects, and no key of ours sealed, is nothing that a snapshot counts on.
  const foreign = new Set(index.unreadable.map(({ name }) => name));
  const names = [committedName(id)];
  for await (const name of listAlwaysNeeded(store)) if (!foreign.has(name)) names.push(name);
  return names;
}

/** Stands for an object that is not there. */
const ABSENT = -1;

async function askLocks({ store }: StorePlace, names: readonly string[], known: Map<string, number | null>) {
  const unknown = names.filter((name) => !known.has(name));
  await inLanes(LANES, unknown, async (name) => {
    try {
      known.set(name, await store.lock!.until(name));
    } catch (error) {
      if (!isAbsent(error)) throw error;
      known.set(name, ABSENT);
    }
  });
}

function judgePlace(
  place: string,
  groups: readonly (readonly string[])[],
  locks: ReadonlyMap<string, number | null>,
  now: number,
  attested: number | null,
): CheckedPlace {
  const unlocked: string[] = [];
  let [earliest, unlockedCount, absentCount] = [Number.POSITIVE_INFINITY, 0, 0];
  for (const names of groups) {
    const until = Math.max(ABSENT, ...names.map((name) => locks.get(name) ?? 0));
    if (until === ABSENT) absentCount += 1;
    else earliest = Math.min(earliest, until);
    if (until > now) continue;
    unlockedCount += 1;
    if (unlocked.length < NAMES_MAX && names[0] !== undefined) unlocked.push(names[0]);
  }
  const until = absentCount === 0 && earliest > now ? earliest : null;
  const isAttested = attested !== null && attested > now;
  const isShortened = isAttested && earliest < attested - ROUNDING_MS;
  const isGone = isAttested && absentCount > 0;
  return { place, until, attested, objects: groups.length, unlocked, unlockedCount, absentCount, isShortened, isGone };
}
