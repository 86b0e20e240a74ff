import { openLedger } from '../../ledger/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import { formatLsn } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import type { LineageParent } from './lineage.ts';

/**
 * Puts into the ledger that a lineage was begun at a fork.
 *
 * A ledger that cannot be written, or that misses its head, is told of by whoever opens it to act on it, and the fork itself stands in the
 * lineage's first object: WAL is not to wait for the ledger.
 */
export async function noteFork(
  repository: Repository,
  stateDirectory: string,
  fork: { readonly cluster: string; readonly child: string; readonly parent: LineageParent },
): Promise<void> {
  const { cluster, child, parent } = fork;
  const { lineage, forkTimeline, forkLsn, reason } = parent;
  const facts = { cluster, parent: lineage, forkTimeline, forkLsn: formatLsn(forkLsn), reason };
  try {
    const ledger = await openLedger(repository, stateDirectory);
    await ledger.append({ action: 'wal-fork', outcome: 'done', subject: child, facts });
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
  }
}
