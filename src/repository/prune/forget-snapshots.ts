import { inLanes } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import type { Repository } from '../repository.ts';
import { committedName, pendingName, recordForgotten } from '../snapshot/index.ts';
import { type Deleter, deleteInOrder, deleteObjects } from './delete-objects.ts';
import type { ExecuteOptions } from './execute-prune.ts';
import type { OtherObject, Waiting } from './propose-prune.ts';

/** Snapshots that are dropped at once. */
const LANES = 4;

/**
 * Drops the records of snapshots: first it is recorded that they go, then, of each, the pending record, so that nobody commits it again from there, the statements
 * about it, and last the record by which it is listed.
 *
 * Gives the ids of those that are listed no more, and what keeps the others. Errors: those of the store; `LEASE_LOST`.
 */
export async function forgetSnapshots(
  { repository, state, proposal, holds }: ExecuteOptions,
  deleter: Deleter,
): Promise<{ forgotten: string[]; waiting: Waiting[] }> {
  const [forgotten, waiting]: [string[], Waiting[]] = [[], []];
  const ids = proposal.forget;
  if (ids.length === 0) return { forgotten, waiting };
  await recordForgotten(
    repository,
    ids.map((id) => ({ id, ...state.wish.get(id)! })),
  );
  // Whoever holds writes the hold and looks for that record afterwards; here it is the other way round, and one of both sees the other.
  const held = await holds.findHeld(ids);
  await inLanes(LANES, ids, async (id) => {
    const left = held.has(id)
      ? [{ name: committedName(id), bytes: 0, reason: 'held' as const, until: null }]
      : await forgetOne(repository, deleter, id);
    if (left.length === 0) forgotten.push(id);
    else waiting.push(...left);
  });
  return { forgotten, waiting };
}

async function forgetOne({ store }: Repository, deleter: Deleter, id: string): Promise<Waiting[]> {
  const first = await deleteInOrder(deleter, [{ name: pendingName(id), bytes: 0 }]);
  if (first.length > 0) return first;
  const statements: OtherObject[] = [];
  for await (const { name, size } of store.list(`${kindPrefix('attestation')}${id}/`))
    statements.push({ name, bytes: size });
  const about = await deleteObjects(deleter, statements);
  // A statement that a lock holds says something of a snapshot that is gone, and goes with its time; the record is what counts.
  const left = about.filter(({ reason }) => reason !== 'locked');
  return left.length > 0 ? left : deleteInOrder(deleter, [{ name: committedName(id), bytes: 0 }]);
}
