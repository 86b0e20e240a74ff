import { assert, type Clock } from '../lib/index.ts';
import type { ResolvedPlace, ResolvedPlan } from '../plan/index.ts';
import type { ObjectStore } from '../repository/index.ts';
import type { Redaction } from './output/index.ts';

/** What opening takes of a command. */
export interface Opener {
  readonly clock: Clock;
  readonly redaction: Redaction;
}

/** The store of one place. Nothing is touched before the first call. Errors: `STORE_LOCATION_INVALID`. */
export async function openPlace(place: ResolvedPlace, { clock }: Opener): Promise<ObjectStore> {
  const { openStore } = await import('../repository/index.ts');
  return openStore(place.location, { clock });
}

/** The repository's store as every command uses it: the primary with its copies. */
export async function openPlaces({ repository }: ResolvedPlan, opener: Opener): Promise<ObjectStore> {
  assert(repository.primary !== null, 'the place of a repository that is opened was required');
  return await openPlace(repository.primary, opener);
}
