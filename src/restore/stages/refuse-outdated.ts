import { HoldfastError } from '../../lib/index.ts';
import type { PreparedRestore } from '../prepare-restore.ts';
import { type RestoreProposal, whyOutdated } from '../proposal.ts';
import { routeEnd } from '../wal-route.ts';

/**
 * The proposal to execute: the one that was shown, if there was one and it still holds, otherwise the one just made.
 * Errors: RESTORE_PROPOSAL_OUTDATED.
 */
export function refuseOutdated(shown: RestoreProposal | undefined, prepared: PreparedRestore): RestoreProposal {
  if (shown === undefined) return prepared.proposal;
  const why = whyOutdated(shown, {
    repository: prepared.proposal.madeFrom.repository,
    snapshots: prepared.facts.snapshots,
    durableEnd: routeEnd(prepared.route, shown.snapshot.start),
    into: prepared.place.path,
  });
  if (why === null) return shown;
  throw new HoldfastError('RESTORE_PROPOSAL_OUTDATED', 'cannot execute this proposal: it no longer holds', {
    detail: `Since it was made the state has changed: ${why}.`,
    hints: ['Make a new proposal.'],
  });
}
