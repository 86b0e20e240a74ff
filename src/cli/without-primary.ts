import type { HoldfastError } from '../lib/index.ts';
import type { ResolvedPlan } from '../plan/index.ts';
import type { Repository } from '../repository/index.ts';
import type { OpenedPlaces } from './open-places.ts';

/** What a primary can be like that is away: no answer, no mount. A right that is missing, or another repository in its place, is for a person. */
const AWAY_CODES: ReadonlySet<string> = new Set(['STORE_UNAVAILABLE', 'STORE_ABSENT', 'REPOSITORY_ABSENT']);

/** Whether a primary is away as one that comes back. */
export function isAwayForNow({ code }: HoldfastError): boolean {
  return AWAY_CODES.has(code);
}

/** Whether a command that keeps WAL can begin although the primary is away: there are copies to go by, and the plan gains by it. */
export function canKeepWalWithout({ repository }: ResolvedPlan, error: HoldfastError): boolean {
  const { copies, protect } = repository;
  return isAwayForNow(error) && copies.length > 0 && (protect === 'writes' || copies.some((copy) => copy.required));
}

/** Errors that another try may not meet: of places, none of keys. */
export function isWorthWaiting(error: HoldfastError): boolean {
  return AWAY_CODES.has(error.code) || error.code === 'OBJECT_ABSENT' || error.retryable;
}

/**
 * Opens a repository of which the primary does not answer, by the `format` and the keys of a copy, which prove each other, for whoever goes on
 * with WAL meanwhile.
 *
 * `open` opens it by what it is given. Errors: those of the copies, of opening, and of the disk of the spool.
 */
export async function openByCopies(
  { copied, spool }: OpenedPlaces,
  away: HoldfastError,
  open: (by: { roots: NonNullable<NonNullable<OpenedPlaces['copied']>['standIn']> }) => Promise<Repository>,
): Promise<Repository> {
  const roots = copied!.standIn!;
  await spool!.beginAway(await roots.formatOfCopies(), away);
  return open({ roots });
}
