import { HoldfastError } from '../../lib/index.ts';
import {
  type CopyComparison,
  compareCopies,
  isNoCopy,
  measureStore,
  type ObjectStore,
  type StoredAmount,
  type StorePlace,
  whyAway,
} from '../../repository/index.ts';

/** The place that is written. */
export interface PrimaryStatus {
  readonly description: string;
  /** Without what is volatile; `null` when it could not be listed. */
  readonly stored: StoredAmount | null;
  /** Why it is away; `null` when it answers. */
  readonly error: HoldfastError | null;
}

/** How one copy stands to the primary. */
export interface CopyStatus {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  /** Whether its place is one that can be made, as a directory can and a bucket cannot. */
  readonly canBeMade: boolean;
  /** `not-compared`: it answers, and the primary does not. `foreign`: it is of another repository, or the primary by another name. */
  readonly state: 'in-step' | 'behind' | 'differing' | 'not-compared' | 'away' | 'foreign';
  /** What it holds, without what is volatile; `null` when it could not be listed. */
  readonly stored: StoredAmount | null;
  /** What was found; `null` when it was not compared. */
  readonly comparison: CopyComparison | null;
  readonly error: HoldfastError | null;
}

export interface PlacesStatus {
  readonly primary: PrimaryStatus;
  readonly copies: readonly CopyStatus[];
}

/**
 * Compares every copy with the primary by names and sizes; `places` as an opened store gives them, the primary first.
 *
 * Lists all that is stored, in every place. Errors: none of a place, which are part of the answer; only faults of the program.
 */
export async function readPlaces(
  places: readonly StorePlace[],
  options: { signal?: AbortSignal } = {},
): Promise<PlacesStatus> {
  const [primary, ...copies] = places;
  if (primary === undefined) throw new TypeError('a repository has a primary place');
  const error = await whyAway(primary.store);
  const found = await Promise.all(copies.map((copy) => readCopy(primary, copy, error !== null, options)));
  const compared = found.find(({ comparison }) => comparison !== null)?.comparison;
  const stored =
    compared !== undefined && compared !== null ? sumOf(compared, 'primary') : await measure(primary.store, error);
  return { primary: { description: primary.store.description, stored, error }, copies: found };
}

async function readCopy(
  primary: StorePlace,
  copy: StorePlace,
  primaryIsAway: boolean,
  options: { signal?: AbortSignal },
): Promise<CopyStatus> {
  const canBeMade = copy.store.createPlace !== undefined;
  const common = { name: copy.name, description: copy.store.description, required: copy.required, canBeMade };
  try {
    if (primaryIsAway) {
      const stored = await measure(copy.store, null);
      return { ...common, state: 'not-compared', stored, comparison: null, error: null };
    }
    const comparison = await compareCopies({ primary: primary.store, copy, ...options });
    return { ...common, state: stateOf(comparison), stored: sumOf(comparison, 'copy'), comparison, error: null };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const state = isNoCopy(error) ? 'foreign' : 'away';
    return { ...common, state, stored: null, comparison: null, error };
  }
}

function stateOf({ missing, differing }: CopyComparison): CopyStatus['state'] {
  if (differing.objects > 0) return 'differing';
  return missing.objects > 0 ? 'behind' : 'in-step';
}

/** What a place holds, as the comparison saw it. */
function sumOf({ same, missing, differing, extra }: CopyComparison, which: 'primary' | 'copy'): StoredAmount {
  const parts = which === 'primary' ? [same, differing, missing] : [same, differing, extra];
  return {
    objects: parts.reduce((sum, { objects }) => sum + objects, 0),
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

async function measure(store: ObjectStore, error: HoldfastError | null): Promise<StoredAmount | null> {
  if (error !== null) return null;
  const stored = { objects: 0, bytes: 0 };
  for (const [part, { objects, bytes }] of await measureStore(store)) {
    if (part === 'volatile') continue;
    stored.objects += objects;
    stored.bytes += bytes;
  }
  return stored;
}
