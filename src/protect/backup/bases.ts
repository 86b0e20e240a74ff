import type { SnapshotRecord } from '../../repository/index.ts';
import { readingOf } from './reading-done.ts';

/** The snapshot on which an increment stands; null for one for which everything was read. */
export function baseOf(snapshot: SnapshotRecord): string | null {
  const reading = readingOf(snapshot);
  return reading?.manner === 'increment' ? reading.base : null;
}

/** Snapshots, listed or not, and those whose unchanged blocks come from them, directly or through others. */
export function builtOn(roots: readonly string[], snapshots: readonly SnapshotRecord[]): Set<string> {
  const byBase = Map.groupBy(snapshots, baseOf);
  const ids = new Set(roots);
  // What is added while a set is gone through is gone through as well.
  for (const id of ids) for (const above of byBase.get(id) ?? []) ids.add(above.id);
  return ids;
}

/** A snapshot and the increments that it stands on, as far as they are listed; not the backup at their root, for which everything was read. */
export function incrementsBelow(snapshot: SnapshotRecord, snapshots: readonly SnapshotRecord[]): string[] {
  const ids = [snapshot.id];
  for (let next: SnapshotRecord | undefined = snapshot; next !== undefined; ) {
    const base = baseOf(next);
    next = snapshots.find(({ id }) => id === base && !ids.includes(id));
    if (next !== undefined && baseOf(next) !== null) ids.push(next.id);
  }
  return ids;
}
