import { formatLsn, parseLsn } from '../../../postgres/index.ts';
import type { SnapshotRecord } from '../../../repository/index.ts';
import { contiguousEnd, findLineage, type WalInventory } from '../../wal/index.ts';

/**
 * Why an increment of WAL position `to` may not stand on a base, as a sentence without its full stop; null where it may.
 *
 * System, timeline and positions do not tell one history from another (rule A4): a volume that was rolled back to before the base goes on under the
 * same names, and its summaries know nothing of what the base holds. What was streamed without a gap does: whoever receives WAL compares where it
 * joins on. So the WAL from the base's start to `to` has to be stored, each byte of it.
 *
 * Errors: WAL_LINEAGE_ABSENT.
 */
export function whyWalIsBroken(inventory: WalInventory, base: SnapshotRecord, to: bigint): string | null {
  const { lineage, timeline, start } = base.wal;
  const from = parseLsn(start);
  // Whose history is not there has no WAL that could be followed.
  const isKnown = timeline === 1 || findLineage(inventory, lineage).histories.has(timeline);
  const end = isKnown ? contiguousEnd(inventory, lineage, timeline, from) : from;
  if (end >= to) return null;
  return `the WAL since the last backup is stored only up to ${formatLsn(end)}, and not up to ${formatLsn(to)}`;
}
