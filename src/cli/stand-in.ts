import { type Clock, codeOf, HoldfastError } from '../lib/index.ts';
import type { ResolvedPlan } from '../plan/index.ts';
import type { CopyEventSink, Credential, Repository, StorePlace } from '../repository/index.ts';
import { type OpenedPlaces, type Opener, openPlaceList } from './open-places.ts';

/** A repository that is written in a copy, as the primary is away. */
export interface StandIn {
  /** The copy. */
  readonly name: string;
  readonly repository: Repository;
  readonly places: OpenedPlaces;
}

interface Candidate extends Omit<StandIn, 'places'> {
  readonly place: StorePlace;
  readonly snapshots: number;
}

/**
 * Opens for writing the copy that is to be what the primary is otherwise: of those that open whole, a required one before others, then the one with the most
 * snapshots. Every required copy has to open. The other copies are its copies.
 *
 * What a copy holds is a repository at every moment; what it lacks of the newest makes a backup larger, not worse. Gives why none would do; errors: those of keys and faults.
 */
export async function chooseStandIn(
  plan: ResolvedPlan,
  opener: Opener,
  how: {
    credential: Credential;
    clock: Clock;
    stateDirectory: string | null;
    catchUp: boolean;
    onEvent: CopyEventSink;
  },
): Promise<StandIn | { readonly error: HoldfastError | null }> {
  const { openCopiedStore, openRepository } = await import('../repository/index.ts');
  const { credential, clock, catchUp, onEvent } = how;
  const state = how.stateDirectory === null ? {} : { stateDirectory: how.stateDirectory };
  const [, ...copies] = await openPlaceList(plan, opener, null);
  const candidates: Candidate[] = [];
  let error: HoldfastError | null = null;
  for (const place of copies) {
    try {
      const { store, name } = place;
      const repository = await openRepository({ store, credential, access: 'write', clock, ...state });
      const { snapshots } = await repository.listSnapshots();
      candidates.push({ name, place, repository, snapshots: snapshots.length });
    } catch (caught) {
      // Another copy may do.
      if (!(caught instanceof HoldfastError)) throw caught;
      error ??= caught;
    }
  }
  const [best] = candidates.sort(
    (a, b) => Number(b.place.required) - Number(a.place.required) || b.snapshots - a.snapshots,
  );
  for (const { repository } of candidates) await repository.close();
  // That no key opens any is for a person, whatever became of the primary.
  if (best === undefined && codeOf(error) === 'REPOSITORY_KEY_REJECTED') throw error;
  // Without a required copy it would not be listed in the end.
  const isRequiredLacking = copies.some(
    ({ name, required }) => required && candidates.every((each) => each.name !== name),
  );
  if (best === undefined || isRequiredLacking) return { error };
  const { name, place } = best;
  const copied = openCopiedStore({
    ...{ primary: place.store, primaryName: name, copies: copies.filter((copy) => copy !== place) },
    ...{ clock, access: 'write', catchUp, onEvent },
  });
  // It was opened already: a passphrase costs a second each time that a key is made of it.
  const repository = best.repository.inPlace(copied);
  const places = { store: copied, primary: null, copied, spool: null, waiting: null, close: () => copied.close() };
  return { name, repository, places };
}
