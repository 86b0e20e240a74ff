import { setTimeout as sleep } from 'node:timers/promises';
import { HoldfastError } from '../../../src/lib/index.ts';
import { findCommit, readWalInventory } from '../../../src/protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../../../src/repository/index.ts';
import type { AcknowledgedWrite } from '../load.ts';
import { type CulpritTransaction, xidOfWal } from './disaster.ts';

/**
 * Finds where a transaction's commit record begins, by looking at the stored WAL, for which it may have to wait a second:
 * so long the receiver gathers.
 *
 * Errors: DEMO_COMMIT_ABSENT.
 */
export async function locateCulprit(
  repository: Repository,
  snapshot: SnapshotRecord,
  transaction: CulpritTransaction,
  signal: AbortSignal,
): Promise<bigint> {
  const deadlineMs = performance.now() + commitWaitMsMax;
  for (;;) {
    const lsn = await locateCommit(repository, snapshot, transaction);
    if (lsn !== null) return lsn;
    if (performance.now() > deadlineMs) {
      throw new HoldfastError('DEMO_COMMIT_ABSENT', `cannot find the commit of transaction ${transaction.xid}`, {
        detail: `The WAL that was stored within ${commitWaitMsMax / 1000} seconds does not have it.`,
      });
    }
    await sleep(commitPollMs, undefined, { signal });
  }
}

const commitWaitMsMax = 60_000;
const commitPollMs = 100;

/** Where a write was committed; `null` when that lies beyond the stored WAL. */
export function locateWrite(
  repository: Repository,
  snapshot: SnapshotRecord,
  write: AcknowledgedWrite,
): Promise<bigint | null> {
  return locateCommit(repository, snapshot, { xid: xidOfWal(write.transactionId), from: write.walBeforeCommit });
}

async function locateCommit(
  repository: Repository,
  snapshot: SnapshotRecord,
  { xid, from }: CulpritTransaction,
): Promise<bigint | null> {
  const { system, lineage, timeline } = snapshot.wal;
  const inventory = await readWalInventory(repository, system);
  const commit = await findCommit(repository, inventory, { lineage, timeline, from, xid });
  return commit?.lsn ?? null;
}
