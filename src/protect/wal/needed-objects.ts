import { parseLsn } from '../../postgres/index.ts';
import type { ObjectStore, SnapshotRecord } from '../../repository/index.ts';
import { contiguousEndIn } from './continuity.ts';
import { findLineage, type LineageInventory, type StoredFragment, type WalInventory } from './inventory.ts';
import { lineageObjectName, lineagePrefix } from './object-names.ts';

/**
 * The objects under `wal/` without which a snapshot cannot be restored (rule A13): WAL of its range, whole segments before fragments of them, and
 * whatever says which history that WAL is of. `store` is asked which of the small objects it has. Errors: those of the store.
 */
export async function listNeededWal(
  store: ObjectStore,
  lineage: LineageInventory,
  wal: SnapshotRecord['wal'],
): Promise<string[]> {
  const [start, end] = [parseLsn(wal.start), parseLsn(wal.end)];
  const size = BigInt(lineage.header.segmentBytes);
  const stored = lineage.timelines.get(wal.timeline);
  const segments = [...(stored?.segments.values() ?? [])].filter(
    ({ number }) => number * size < end && (number + 1n) * size > start,
  );
  const isJoined = (fragment: StoredFragment) => segments.some(({ number }) => number === fragment.start / size);
  const fragments = (stored?.fragments ?? []).filter(
    (fragment) => fragment.start < end && fragment.end > start && !isJoined(fragment),
  );
  const names = [...segments, ...fragments].map(({ objectName }) => objectName);
  for (const prefix of [lineageObjectName(lineage), `${lineagePrefix(lineage)}history/`]) {
    for await (const { name } of store.list(prefix)) names.push(name);
  }
  return names;
}

/** A place, or a repository with all of its places, and what WAL was found there. */
interface FoundWal {
  readonly store: ObjectStore;
  readonly inventory: WalInventory;
}

/**
 * The same for one place of several, as that place has it: it may still hold fragments where another has joined a segment. Where it does not have the whole
 * range, what the repository has `elsewhere` is named, too, so that whoever asks the place for all of it finds what it lacks.
 *
 * Errors: `WAL_LINEAGE_ABSENT` when the lineage is nowhere; those of the stores.
 */
export async function listNeededWalInPlace(
  place: FoundWal,
  elsewhere: () => Promise<FoundWal>,
  wal: SnapshotRecord['wal'],
): Promise<string[]> {
  const own = place.inventory.lineages.find(({ lineage }) => lineage === wal.lineage);
  const names = own === undefined ? [] : await listNeededWal(place.store, own, wal);
  if (endOfWal(place.inventory, wal) >= parseLsn(wal.end)) return names;
  const { store, inventory } = await elsewhere();
  const others = await listNeededWal(store, findLineage(inventory, wal.lineage), wal);
  return [...new Set([...names, ...others])];
}

/** How far WAL of a snapshot's range is there without a gap, with the history that leads to it; where the range begins when there is none. */
export function endOfWal(inventory: WalInventory, { lineage, timeline, start }: SnapshotRecord['wal']): bigint {
  const own = inventory.lineages.find((each) => each.lineage === lineage);
  const isReachable = own !== undefined && (timeline === 1 || own.histories.has(timeline));
  return isReachable ? contiguousEndIn(own, timeline, parseLsn(start)) : parseLsn(start);
}
