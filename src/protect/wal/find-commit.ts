import type { Repository } from '../../repository/index.ts';
import { contiguousEnd } from './continuity.ts';
import type { WalInventory } from './inventory.ts';
import { scanWal, type TransactionLandmark } from './scan.ts';

/**
 * Where a transaction committed, looked for from `from` to the end of the unbroken durable WAL; `null` when it did not.
 *
 * `xid` is what stands in the WAL, 32 bits: after four billion transactions a number comes again, and the first one behind `from` is told.
 * Errors: as `scanWal`.
 */
export async function findCommit(
  repository: Repository,
  inventory: WalInventory,
  question: { lineage: string; timeline: number; from: bigint; xid: number },
): Promise<TransactionLandmark | null> {
  const { lineage, timeline, from, xid } = question;
  const to = contiguousEnd(inventory, lineage, timeline, from);
  for await (const landmark of scanWal(repository, inventory, { lineage, timeline, from, to })) {
    if (landmark.kind !== 'transaction' || landmark.transaction.outcome !== 'commit') continue;
    if (landmark.transaction.xid === xid) return landmark;
  }
  return null;
}
