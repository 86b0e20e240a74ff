import { codeOf, HoldfastError, messageOf, type Progress } from '../../lib/index.ts';
import {
  extendLocks,
  FORMAT_NAME,
  isAbsent,
  isPlaceTrouble,
  kindPrefix,
  lockingPlaces,
  type ObjectStore,
  pendingName,
  proveLock,
  type Repository,
  type SnapshotRecord,
  type StorePlace,
} from '../../repository/index.ts';
import { listNeededWalInPlace, readWalInventory } from '../wal/index.ts';
import { KnownLocks } from './known-locks.ts';
import type { PlaceLock } from './place-lock.ts';
import { findReplacedIndex } from './replaced-index.ts';

/** What opens a repository and finds its chunks: no snapshot can be restored without any of it. Holds stay locked as long as what they keep. */
const ALWAYS_NEEDED = [FORMAT_NAME, 'features/', 'keys/', kindPrefix('index'), kindPrefix('hold')];

/**
 * Proves that each place whose locks were asked for can keep them, before anything is written.
 *
 * A copy that need not have everything is let off while it cannot be reached. Errors: `STORE_LOCK_ABSENT`, `STORE_DENIED` or `LOCK_REFUSED` when a lock
 * cannot be kept; those of the store.
 */
export async function proveLocks({ store }: Repository, progress: Progress): Promise<void> {
  for (const place of lockingPlaces(store)) {
    await unlessAway(place, progress, async () => {
      if ((await place.store.protection?.())?.lock === 'off') throw lockAbsent(place);
      await proveLock(place.store, FORMAT_NAME).catch((error: unknown) => {
        // A copy that is still empty shows what it can do when it is filled.
        if (codeOf(error) !== 'OBJECT_ABSENT' || place.name === 'primary') throw error;
      });
    });
  }
}

/**
 * Makes sure, before a snapshot is committed, that all it counts on stays locked for as long as the snapshot is to be (rule C6): packs, old ones among
 * them, index, WAL of its range, and what opens the repository (rule B3), in every place that keeps locks.
 *
 * `packs` are those that the backup counted on or made. Gives until when each place keeps all of it locked. Errors: `OBJECT_ABSENT` when something is
 * gone; `STORE_DENIED`, `LOCK_REFUSED`; those of the store.
 */
export async function keepLocks(options: {
  repository: Repository;
  snapshot: SnapshotRecord;
  packs: Iterable<Uint8Array>;
  stateDirectory: string;
  progress: Progress;
  signal?: AbortSignal;
}): Promise<PlaceLock[]> {
  const { repository, snapshot, stateDirectory, progress, signal } = options;
  const locks: PlaceLock[] = [];
  const places = lockingPlaces(repository.store);
  if (places.length === 0) return locks;
  progress.begin('extending locks');
  const packs = [...options.packs].map((pack) => kindPrefix('data-pack') + Buffer.from(pack).toString('hex'));
  for (const place of places) {
    await unlessAway(place, progress, async () => {
      const { store } = place;
      const replaced = await findReplacedIndex(repository, place, progress);
      const names = async function* () {
        for await (const name of listAlwaysNeeded(store)) if (!replaced.has(name)) yield name;
        yield* packs;
        yield* await listWal(repository, place, snapshot.wal);
        yield pendingName(snapshot.id);
      };
      const kept = new KnownLocks(stateDirectory, {
        ...{ repositoryId: repository.id, place: place.name },
        description: store.description,
      });
      const known = await kept.read();
      // Fragments among the WAL are needed as long as the rest, while no segment takes their place.
      const like = FORMAT_NAME;
      // What has not reached a copy yet is locked when it does; what older backups left there must not wait for it.
      const passesAbsent = !isNeeded(place);
      const rest = { known, like, passesAbsent, ...(signal && { signal }) };
      const { until, absent } = await extendLocks({ store, names: names(), ...rest });
      await remember(kept, known, await store.now(), progress);
      if (absent === 0) locks.push({ place: place.name, until });
      else progress.note(`copy "${place.name}" is behind: until when it keeps this backup locked is not known yet`);
    });
  }
  return locks;
}

/** As this place has it, and as it is when it comes to that: fragments are joined meanwhile, in each place in its time. */
async function listWal(repository: Repository, { store }: StorePlace, wal: SnapshotRecord['wal']): Promise<string[]> {
  const findIn = async (there: Repository) => ({
    store: there.store,
    inventory: await readWalInventory(there, wal.system),
  });
  return listNeededWalInPlace(await findIn(repository.inPlace(store)), () => findIn(repository), wal);
}

/** Names of what every snapshot needs, as this place has them. */
export async function* listAlwaysNeeded(store: ObjectStore): AsyncGenerator<string, void> {
  for (const prefix of ALWAYS_NEEDED) for await (const { name } of store.list(prefix)) yield name;
}

/** What the plan asks for and the place refuses is no trouble that passes: the next backup would meet it again. */
const REFUSALS: ReadonlySet<string> = new Set(['STORE_DENIED', 'STORE_LOCK_ABSENT']);

function isNeeded(place: StorePlace): boolean {
  return place.required || place.name === 'primary';
}

/** A copy that need not have everything may be away or behind; its locks are extended by the next backup. */
async function unlessAway(place: StorePlace, progress: Progress, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const mayPass = isAbsent(error) || (isPlaceTrouble(error) && !REFUSALS.has(error.code));
    if (isNeeded(place) || !mayPass) throw error;
    progress.note(`the locks of copy "${place.name}" are left to the next backup: ${messageOf(error)}`);
  }
}

/** What is not remembered is asked for again: no reason to end a backup of which all is stored. */
async function remember(kept: KnownLocks, known: Map<string, number>, now: number, progress: Progress): Promise<void> {
  try {
    await kept.write(known, now);
  } catch (error) {
    if (codeOf(error) !== 'STATE_UNWRITABLE') throw error;
    progress.note(`the next backup asks for all locks again: ${messageOf(error)}`);
  }
}

function lockAbsent({ name, store }: StorePlace): HoldfastError {
  return new HoldfastError('STORE_LOCK_ABSENT', `cannot lock what is kept in ${store.description}`, {
    detail: `The plan asks for locks in the place "${name}", and it says that it keeps none.`,
    hints: [
      'Locks are switched on when a bucket is made: make one with object lock, and let the repository begin there.',
      'Or take `lock` out of the plan.',
    ],
  });
}
