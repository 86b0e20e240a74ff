import { HoldfastError, messageOf } from '../../lib/index.ts';
import { scanWal } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { type CommitFacts, commitFacts, type RestoreProposal } from '../proposal.ts';
import { isCommit } from '../wal-records.ts';
import { historyOf, inventoryOf, type WalRoute } from '../wal-route.ts';

/** Commits that the repository knows and that the restored cluster does not have, as they come after the target. */
export interface Loss {
  readonly commits: number;
  /** False when there may be more than `commits`; `uncounted` says why, in words. */
  readonly isCounted: boolean;
  readonly uncounted: string | null;
  readonly first: CommitFacts | null;
  readonly last: CommitFacts | null;
  /** Bytes of WAL behind the target. */
  readonly bytes: bigint;
}

/** WAL that is read to count what is lost: seconds of work, and more than anyone needs to know to the last commit. */
const COUNTED_BYTES_MAX = 4n * 1024n ** 3n;

/**
 * Counts what lies behind the target. It changes nothing and decides nothing: what cannot be read is not counted, and that is said, as the
 * restore itself is done and good.
 */
export async function measureLoss(repository: Repository, route: WalRoute, proposal: RestoreProposal): Promise<Loss> {
  const { reachedLsn } = proposal.target;
  const { durableEnd, bytes, lastCommit } = proposal.lost;
  const isTooMuch = bytes > COUNTED_BYTES_MAX;
  const range = { ...historyOf(route), from: reachedLsn, to: isTooMuch ? reachedLsn + COUNTED_BYTES_MAX : durableEnd };
  let commits = 0;
  let first: CommitFacts | null = null;
  let uncounted = isTooMuch ? 'there is more WAL behind the target than is counted' : null;
  try {
    if (bytes > 0n) {
      for await (const landmark of scanWal(repository, inventoryOf(route), range)) {
        if (!isCommit(landmark)) continue;
        commits += 1;
        first ??= commitFacts(landmark);
      }
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    uncounted = `WAL behind the target could not be read: ${messageOf(error)}`;
  }
  return { commits, isCounted: uncounted === null, uncounted, first, last: lastCommit, bytes };
}
