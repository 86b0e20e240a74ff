import { HoldfastError, messageOf } from '../../lib/index.ts';
import type { LandmarkSummary } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { type CommitFacts, commitFacts, type RestoreProposal } from '../proposal.ts';
import { isCommit, landmarksOf } from '../wal-records.ts';
import type { WalRoute } from '../wal-route.ts';

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

/** WAL without an index that is read to count what is lost: seconds of work, and more than anyone needs to know to the last commit. */
const SCANNED_BYTES_MAX = 4n * 1024n ** 3n;

/**
 * Counts what lies behind the target. It changes nothing and decides nothing: what cannot be read is not counted, and that is said, as the
 * restore itself is done and good.
 */
export async function measureLoss(repository: Repository, route: WalRoute, proposal: RestoreProposal): Promise<Loss> {
  const { reachedLsn } = proposal.target;
  const { durableEnd, bytes, lastCommit } = proposal.lost;
  let commits = 0;
  let first: CommitFacts | null = null;
  let uncounted: string | null = null;
  try {
    if (bytes > 0n) {
      const reader = landmarksOf(repository, route);
      const range = { from: reachedLsn, to: durableEnd, scannedBytesMax: SCANNED_BYTES_MAX };
      // The first is named; the others need only be counted.
      const decide = (summary: LandmarkSummary) => (summary.commits === 0 ? 'pass' : first === null ? 'read' : 'sum');
      for await (const part of reader.summarize(range, decide)) {
        if (!('kind' in part)) commits += part.commits;
        else if (isCommit(part)) {
          commits += 1;
          first ??= commitFacts(part);
        }
      }
      if (reader.isCut) uncounted = 'there is more WAL behind the target than is counted';
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    uncounted = `WAL behind the target could not be read: ${messageOf(error)}`;
  }
  return { commits, isCounted: uncounted === null, uncounted, first, last: lastCommit, bytes };
}
