import type { Finding } from '../status.ts';

/** Where the places of a repository are, and where the server is. */
export interface AwayFacts {
  /** Whether the server runs on this machine; `null` when that is not known. */
  readonly serverIsHere: boolean | null;
  /** Of each place, the primary first. */
  readonly places: readonly { readonly name: string; readonly isHere: boolean }[];
}

/** Says that no place would be left if this machine was lost, when that is so. Pure. */
export function judgeAway({ serverIsHere, places }: AwayFacts): Finding | null {
  // Where the server is somewhere else, whatever is here is away from it.
  if (places.length === 0 || serverIsHere === false || places.some(({ isHere }) => !isHere)) return null;
  const whose = serverIsHere === true ? "the database's own machine" : 'this machine';
  const sentence =
    places.length === 1
      ? `The only place of the repository is on ${whose}, and there is no copy: what takes the machine takes the backups with it.`
      : `All ${places.length} places of the repository are on ${whose}: what takes the machine takes the backups with it.`;
  const advice =
    'Name a copy elsewhere in the plan (repository.copies), with --copy or in HOLDFAST_COPIES, then run holdfast copies sync.';
  return { severity: 'notice', code: 'no-copy-away', sentence, advice };
}
