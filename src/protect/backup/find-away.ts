import { HoldfastError } from '../../lib/index.ts';
import {
  FORMAT_NAME,
  isPlaceTrouble,
  kindPrefix,
  listForgottenIds,
  listOnlyInCopy,
  type Repository,
  type SnapshotRecord,
  type StorePlace,
} from '../../repository/index.ts';
import { takenInOf } from './taken-in.ts';

/** A snapshot that was taken while the primary was away and has not been brought there. */
export interface SnapshotAway {
  readonly snapshot: SnapshotRecord;
  /** The copies that list it, in the order of the plan. */
  readonly copies: readonly StorePlace[];
}

/**
 * Which snapshots copies alone have because the primary was away, oldest first.
 *
 * What the primary has lost otherwise bears no such mark and is not told here: that is for `verify` and healing, which record it. Copies that do not
 * answer, or are another repository's, are passed over. Errors: those of the primary.
 */
export async function findSnapshotsAway(repository: Repository): Promise<SnapshotAway[]> {
  const [primary, ...copies] = repository.store.places ?? [];
  if (primary === undefined) return [];
  const found = new Map<string, { snapshot: SnapshotRecord; copies: StorePlace[] }>();
  let forgotten: ReadonlySet<string> | null = null;
  for (const copy of copies) {
    for (const { snapshot } of await listAway(repository, primary, copy)) {
      // It was brought home, and dropped there since: a copy may keep it for longer.
      forgotten ??= await listForgottenIds(repository.inPlace(primary.store));
      if (forgotten.has(snapshot.id)) continue;
      const known = found.get(snapshot.id) ?? { snapshot, copies: [] };
      known.copies.push(copy);
      found.set(snapshot.id, known);
    }
  }
  return [...found.values()].sort((a, b) => (a.snapshot.startedAt < b.snapshot.startedAt ? -1 : 1));
}

async function listAway(repository: Repository, primary: StorePlace, copy: StorePlace) {
  const away: { snapshot: SnapshotRecord }[] = [];
  const prefix = kindPrefix('snapshot-committed');
  try {
    for (const name of await listOnlyInCopy(primary.store, copy.store, prefix)) {
      const snapshot = await readMarked(repository.inPlace(copy.store), name.slice(prefix.length));
      if (snapshot !== null) away.push({ snapshot });
    }
    return away;
  } catch (error) {
    // Which of the two did not answer is found out by asking the primary alone.
    if (!isPlaceTrouble(error)) throw error;
    await primary.store.stat(FORMAT_NAME);
    return away;
  }
}

/** `null` for one without the mark, and for what cannot be read as a record of this repository. */
async function readMarked(inCopy: Repository, id: string): Promise<SnapshotRecord | null> {
  try {
    const snapshot = await inCopy.findSnapshot(id);
    return takenInOf(snapshot) === null ? null : snapshot;
  } catch (error) {
    if (!(error instanceof HoldfastError) || isPlaceTrouble(error)) throw error;
    return null;
  }
}
