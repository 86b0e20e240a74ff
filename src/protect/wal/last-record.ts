import { segmentStartOf, type WalStop } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { contiguousEnd } from './continuity.ts';
import { findLineage, type WalInventory } from './inventory.ts';
import { maxLsn } from './lsn-ranges.ts';
import { scanRecords } from './scan.ts';

/** The last record that can be replayed. */
export interface LastRecord {
  readonly lsn: bigint;
  /** Where the next one may begin: recovery that has replayed the record is here. */
  readonly endLsn: bigint;
  readonly timeline: number;
  /** Where and why nothing more could be read: ordinarily that the stored WAL ended. */
  readonly stop: WalStop;
}

/**
 * The last whole record of the unbroken durable WAL from `from` on; `null` when there is none.
 *
 * Only the last segments are read: from the start of one, a scan finds its way by itself, and a segment without the start of a record lies
 * inside one that began before.
 * Errors: OBJECT_DAMAGED, WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the store.
 */
export async function lastRecord(
  repository: Repository,
  inventory: WalInventory,
  history: { lineage: string; timeline: number; from: bigint },
): Promise<LastRecord | null> {
  const { segmentBytes } = findLineage(inventory, history.lineage).header;
  const end = contiguousEnd(inventory, history.lineage, history.timeline, history.from);
  for (let to = end; to > history.from; to = segmentStartOf(to - 1n, segmentBytes)) {
    const from = maxLsn(segmentStartOf(to - 1n, segmentBytes), history.from);
    const found = await lastRecordOf(repository, inventory, { ...history, from, to: end });
    if (found !== null) return found;
  }
  return null;
}

async function lastRecordOf(
  repository: Repository,
  inventory: WalInventory,
  range: { lineage: string; timeline: number; from: bigint; to: bigint },
): Promise<LastRecord | null> {
  let last: Omit<LastRecord, 'stop'> | null = null as Omit<LastRecord, 'stop'> | null;
  const scan = scanRecords(repository, inventory, range, ({ lsn, endLsn, timeline }) => {
    last = { lsn, endLsn, timeline };
  });
  for (;;) {
    const { done, value: stop } = await scan.next();
    if (done) return last === null ? null : { ...last, stop };
  }
}
