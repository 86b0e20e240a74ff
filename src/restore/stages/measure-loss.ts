import { scanWal } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { type CommitFacts, commitFacts, type RestoreProposal } from '../proposal.ts';
import { findLastCommit, isCommit } from '../wal-records.ts';
import { historyOf, inventoryOf, type WalRoute } from '../wal-route.ts';

/** Commits that the repository knows and that the restored cluster does not have, as they come after the target. */
export interface Loss {
  readonly commits: number;
  /** False when there is so much WAL behind the target that only the beginning of it was counted. */
  readonly isCounted: boolean;
  readonly first: CommitFacts | null;
  readonly last: CommitFacts | null;
  /** Bytes of WAL behind the target. */
  readonly bytes: bigint;
}

/** WAL that is read to count what is lost: seconds of work, and more than anyone needs to know to the last commit. */
const COUNTED_BYTES_MAX = 4n * 1024n ** 3n;

/**
 * Counts what lies behind the target. It changes nothing and decides nothing; what cannot be read is not counted.
 * Errors: as `scanWal`.
 */
export async function measureLoss(repository: Repository, route: WalRoute, proposal: RestoreProposal): Promise<Loss> {
  const { reachedLsn } = proposal.target;
  const { durableEnd, bytes } = proposal.lost;
  const end = bytes > COUNTED_BYTES_MAX ? reachedLsn + COUNTED_BYTES_MAX : durableEnd;
  let commits = 0;
  let first: CommitFacts | null = null;
  let last: CommitFacts | null = null;
  if (bytes > 0n) {
    for await (const landmark of scanWal(repository, inventoryOf(route), {
      ...historyOf(route),
      from: reachedLsn,
      to: end,
    })) {
      if (!isCommit(landmark)) continue;
      commits += 1;
      last = commitFacts(landmark);
      first ??= last;
    }
  }
  if (end === durableEnd) return { commits, isCounted: true, first, last, bytes };
  const range = { from: reachedLsn, to: durableEnd, reach: durableEnd };
  return { commits, isCounted: false, first, last: commitFacts(await findLastCommit(repository, route, range)), bytes };
}
