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
  if (why === null && !isForSamePlaces(shown, prepared.proposal))
    throw outdated('other places, or another manner, were asked for');
  if (why === null) return shown;
  throw outdated(why);
}

/** The places were looked at as they are asked for now; those of the shown proposal may hold anything. */
function isForSamePlaces(shown: RestoreProposal, now: RestoreProposal): boolean {
  if (shown.manner !== now.manner || shown.cloneFrom !== now.cloneFrom) return false;
  if (shown.tablespaces.length !== now.tablespaces.length) return false;
  return shown.tablespaces.every(({ oid, path }) =>
    now.tablespaces.some((one) => one.oid === oid && one.path === path),
  );
}

function outdated(why: string): HoldfastError {
  return new HoldfastError('RESTORE_PROPOSAL_OUTDATED', 'cannot execute this proposal: it no longer holds', {
    detail: `Since it was made the state has changed: ${why}.`,
    hints: ['Make a new proposal.'],
  });
}
