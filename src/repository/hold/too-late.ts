import type { SealedObjects } from '../sealed/index.ts';
import { committedName, listForgottenIds } from '../snapshot/index.ts';
import type { HoldScope } from './hold-record.ts';

/**
 * Which of the snapshots that a hold names are gone, or were announced to go, and so may not be kept by it.
 *
 * To be asked once the hold is written: whoever forgets announces first and reads holds afterwards, so that one of both sees the other (as in rule A2).
 * Errors: those of the store and of reading.
 */
export async function findHeldTooLate(objects: SealedObjects, scope: HoldScope): Promise<string[]> {
  if (scope.kind !== 'snapshots') return [];
  const forgotten = await listForgottenIds(objects);
  const late: string[] = [];
  for (const id of scope.snapshots) {
    if (forgotten.has(id) || (await objects.store.stat(committedName(id))) === null) late.push(id);
  }
  return late;
}
