import { parseLsn } from '../../postgres/index.ts';
import type { ObjectStore, SnapshotRecord } from '../../repository/index.ts';
import type { LineageInventory, StoredFragment } from './inventory.ts';
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
