import { HoldfastError } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { type ChangeSet, isWalDamage, readChangeSet, type WalInventory, type WalRange } from '../../wal/index.ts';

/** What the stored WAL of a range changes, or why it cannot be told, as a sentence without its full stop. */
export type KnownChanges =
  | { readonly kind: 'known'; readonly set: ChangeSet }
  | { readonly kind: 'not-known'; readonly reason: string };

/**
 * Reads what a range of WAL changes. Stored WAL that is damaged, or has a record of a form that is not known, is found and told by others; here it only
 * leaves something unknown.
 *
 * Errors: WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the store.
 */
export async function readKnownChanges(
  repository: Repository,
  inventory: WalInventory,
  range: WalRange,
): Promise<KnownChanges> {
  try {
    return await readChangeSet(repository, inventory, range);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { kind: 'not-known', reason: `WAL that was stored cannot be read: ${error.message}` };
  }
}

function isUnreadable(error: unknown): error is HoldfastError {
  return isWalDamage(error) || (error instanceof HoldfastError && error.code === 'PG_WAL_RECORD_INVALID');
}
