import { HoldfastError } from '../../lib/index.ts';
import { parseLsn } from '../../postgres/index.ts';
import { readingOf } from '../../protect/backup/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';

/** Which two are held against each other. */
export interface ComparisonPair {
  readonly older: SnapshotRecord;
  readonly newer: SnapshotRecord;
}

/**
 * The two that were named, in their order in the WAL; or the newest for which everything was read and the one before it; or else the newest two.
 *
 * Errors: CROSS_CHECK_IMPOSSIBLE.
 */
export function chooseComparison(
  snapshots: readonly SnapshotRecord[],
  named: readonly SnapshotRecord[] = [],
): ComparisonPair {
  if (named.length > 0) {
    const [one, other] = inOrder(named);
    if (named.length !== 2 || one === undefined || other === undefined || one.id === other.id) {
      throw impossible(`Expected two different snapshots, found ${named.length}.`);
    }
    return { older: one, newer: other };
  }
  const [newest, ...before] = inOrder(snapshots).reverse();
  if (newest === undefined || before.length === 0) throw impossible('The repository has fewer than two snapshots.');
  const sameHistory = (one: SnapshotRecord, other: SnapshotRecord) =>
    one.cluster === other.cluster && one.wal.lineage === other.wal.lineage && one.wal.timeline === other.wal.timeline;
  const all = [newest, ...before];
  const pairs = all.flatMap((newer, i) => {
    const older = all.slice(i + 1).find((other) => sameHistory(newer, other));
    return older === undefined ? [] : [{ older, newer }];
  });
  const chosen = pairs.find(({ newer }) => readingOf(newer)?.manner === 'everything') ?? pairs[0];
  if (chosen === undefined) throw impossible('No two snapshots are of the same timeline of the same lineage.');
  return chosen;
}

function inOrder(snapshots: readonly SnapshotRecord[]): SnapshotRecord[] {
  return [...snapshots].sort((a, b) => {
    const [one, other] = [parseLsn(a.wal.start), parseLsn(b.wal.start)];
    return one === other ? Date.parse(a.startedAt) - Date.parse(b.startedAt) : one < other ? -1 : 1;
  });
}

function impossible(detail: string): HoldfastError {
  return new HoldfastError('CROSS_CHECK_IMPOSSIBLE', 'cannot hold two snapshots against each other', {
    detail,
    hints: ['Run `holdfast list` and name two snapshots of one cluster, or take another backup.'],
  });
}
