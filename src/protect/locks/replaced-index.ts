import type { Progress } from '../../lib/index.ts';
import {
  isUnreadableRecord,
  listReplacedIndexObjects,
  type Repository,
  type StorePlace,
} from '../../repository/index.ts';

/**
 * Names of index objects in one place that newer ones have taken the place of: they are to be deleted once their locks end, and nobody extends these.
 *
 * It spares locks alone. So a record that cannot be read is told, and no object counts as replaced: rather a lock too many. Errors: those of the store.
 */
export async function findReplacedIndex(
  repository: Repository,
  { name, store }: StorePlace,
  progress: Progress,
): Promise<ReadonlySet<string>> {
  try {
    return await listReplacedIndexObjects(repository.inPlace(store));
  } catch (error) {
    if (!isUnreadableRecord(error)) throw error;
    const place = name === 'primary' ? 'the primary' : `copy "${name}"`;
    progress.note(`every index object of ${place} is to be locked, whether it was replaced or not: ${error.message}`);
    return new Set();
  }
}
