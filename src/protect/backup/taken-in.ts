import type { SnapshotRecord } from '../../repository/index.ts';

/** The copy in which a snapshot was taken while the primary was away; `null` for one that was taken as always. */
export function takenInOf({ details }: SnapshotRecord): string | null {
  const { takenIn } = details;
  return typeof takenIn === 'string' ? takenIn : null;
}
