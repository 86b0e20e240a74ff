import { HoldfastError } from '../../lib/index.ts';

/** Rule B5: what cannot be read of a root may need anything. */
export function rootUnreadable(what: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('PRUNE_ROOT_UNREADABLE', `cannot prune: ${what} cannot be read`, {
    detail: `${detail} What it needs is not known, so nothing is deleted.`,
    hints: [
      'Run `holdfast verify`, then `holdfast repository heal`.',
      'Where that does not bring it back, take a new backup. As long as it cannot be read nothing is deleted here, which costs space alone.',
    ],
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The state is not what the proposal was made from. */
export function proposalStale(why: string): HoldfastError {
  return new HoldfastError('PRUNE_PROPOSAL_STALE', 'could not carry out the prune: the repository has changed since', {
    detail: `Expected the state that was looked at, found that ${why}.`,
    hints: ['Run it again; what was done so far is done.'],
    retryable: true,
  });
}

export function pruneRunning(name: string): HoldfastError {
  return new HoldfastError('PRUNE_RUNNING', 'could not begin to prune: another prune is running', {
    detail: `Expected no lease of purpose "prune", found "${name}", which is renewed every minute and over ten minutes after its holder is gone.`,
    hints: ['Wait until it is done.'],
    retryable: true,
  });
}

export function listsLate(what: string): HoldfastError {
  return new HoldfastError('STORE_LISTS_LATE', 'cannot prune: the place does not list what was stored a moment ago', {
    detail: `Expected "${what}" in a listing, found it missing. Whoever prunes has to see what others write.`,
    hints: ['Look for a cache between here and the store, and run `holdfast doctor`.'],
  });
}
