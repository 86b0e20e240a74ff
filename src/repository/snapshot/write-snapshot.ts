import { isDeepStrictEqual } from 'node:util';
import { HoldfastError } from '../../lib/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import { committedName, pendingName, type SnapshotRecord, snapshotRecord } from './snapshot-record.ts';
import { isWithdrawal } from './withdraw-snapshot.ts';

/** Says which chunks a backup is about to commit, so that a pruner spares them (rule A2). Safe to repeat. */
export function writePending(objects: SealedObjects, snapshot: SnapshotRecord): Promise<void> {
  return writeOnce(objects, 'snapshot-pending', pendingName(snapshot.id), snapshot);
}

/**
 * Lists the snapshot from now on. The enabling step, and the last: all that it needs is durable, and the lease is still held.
 *
 * Safe to repeat. Errors: `BACKUP_WITHDRAWN` when a pruner has taken its place; `SNAPSHOT_CONFLICT` when another record has its id; those of the store.
 */
export function commitSnapshot(objects: SealedObjects, snapshot: SnapshotRecord): Promise<void> {
  return writeOnce(objects, 'snapshot-committed', committedName(snapshot.id), snapshot);
}

async function writeOnce(
  objects: SealedObjects,
  kind: 'snapshot-pending' | 'snapshot-committed',
  name: string,
  snapshot: SnapshotRecord,
): Promise<void> {
  const record = snapshotRecord.parse(snapshot);
  if ((await objects.putJson(kind, name, record)) === 'created') return;
  // Ours, if an answer was lost and the call repeated.
  const stored = await objects.getJson(kind, name);
  if (isDeepStrictEqual(stored, JSON.parse(JSON.stringify(record)))) return;
  if (isWithdrawal(stored)) throw withdrawn(snapshot);
  throw new HoldfastError('SNAPSHOT_CONFLICT', `cannot write snapshot "${name}": another record has this name`, {
    detail: 'Expected the name to be free or to hold this very record, found another one.',
  });
}

function withdrawn({ id }: SnapshotRecord): HoldfastError {
  return new HoldfastError('BACKUP_WITHDRAWN', `cannot list snapshot ${id.slice(0, 12)}: a prune has withdrawn it`, {
    detail: 'Its lease was gone for an hour, and a pruner took it for given up. What it counts on may be deleted.',
    hints: ['Take the backup again; nothing older was harmed.'],
    retryable: true,
  });
}
