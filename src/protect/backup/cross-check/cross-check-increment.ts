import { parseLsn } from '../../../postgres/index.ts';
import type { Repository, SnapshotRecord } from '../../../repository/index.ts';
import type { WalInventory } from '../../wal/index.ts';
import type { SentFile } from '../increment/index.ts';
import { compareChangeSet } from './compare-change-set.ts';
import type { Findings } from './finding.ts';
import { readKnownChanges } from './known-changes.ts';
import { locateFindings } from './locate-findings.ts';

/** What came of holding an increment against the WAL, or two snapshots against each other. */
export type CrossCheck =
  /** Every one of `blocks` that were looked at is as it should be. */
  | { readonly kind: 'agrees'; readonly blocks: number }
  /** `isExplained`: a known defect of PostgreSQL explains all that was found, which says nothing of what was before. */
  | { readonly kind: 'differs'; readonly findings: Findings; readonly isExplained?: boolean }
  /** The WAL does not tell what changed, with the reason. */
  | { readonly kind: 'not-known'; readonly reason: string };

/**
 * Holds what a server sent since `base` against the WAL that was stored of the same range (rule A9). WAL up to `endLsn` must be stored by now.
 *
 * Errors: WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the store.
 */
export async function crossCheckIncrement(options: {
  repository: Repository;
  inventory: WalInventory;
  base: SnapshotRecord;
  /** Where the increment begins and ends. */
  startLsn: bigint;
  endLsn: bigint;
  sent: Iterable<SentFile>;
  baseBlocks: (path: string) => number;
}): Promise<CrossCheck> {
  const { repository, inventory, base, startLsn, endLsn, sent, baseBlocks } = options;
  const from = parseLsn(base.wal.start);
  const { lineage, timeline } = base.wal;
  const range = { lineage, timeline, from, to: startLsn };
  const read = await readKnownChanges(repository, inventory, range);
  if (read.kind === 'not-known') return read;
  // Only what was cut can have been cut once more.
  const isAnyCut = read.set.some(({ limit }) => limit !== null && limit > 0);
  const whileSent = { lineage, timeline, from: startLsn, to: endLsn };
  const later = isAnyCut ? await readKnownChanges(repository, inventory, whileSent) : null;
  const { count, first, unexplained, blocks } = compareChangeSet(read.set, sent, {
    ...{ baseBlocks, later: later?.kind === 'known' ? later.set : null },
  });
  if (count === 0) return { kind: 'agrees', blocks };
  const located = await locateFindings(repository, inventory, range, first);
  const findings = located.map((finding) => ({ ...finding, relation: null }));
  return { kind: 'differs', findings: { from, to: startLsn, count, first: findings }, isExplained: unexplained === 0 };
}
