import { type Clock, HoldfastError } from '../../lib/index.ts';
import { drawProbeName, type ObjectStore, type StorePlace } from '../../repository/index.ts';
import { type PlacesStatus, readPlaces } from '../copies/index.ts';
import { gatherVolume, type VolumeFacts } from '../volume.ts';
import { gatherStore } from './gather-store.ts';
import type { StoreFacts } from './store-facts.ts';

/** A copy that is to be looked at. */
export interface CopyQuestion extends StorePlace {
  /** `null` for a store that is no directory. */
  readonly directory: string | null;
}

/** What was seen of one copy. */
export interface CopyFacts {
  readonly name: string;
  readonly required: boolean;
  readonly store: StoreFacts;
  readonly volume: VolumeFacts | null;
  /** Whether what is put into the primary turns up here by itself; `null` when that could not be tried. */
  readonly isPrimaryItself: boolean | null;
}

export interface CopiesFacts {
  readonly copies: readonly CopyFacts[];
  readonly status: PlacesStatus;
}

/** Tries every copy, one after the other, and compares it with the primary. Errors: none of a place's; they are facts. */
export async function gatherCopies(
  primary: ObjectStore,
  copies: readonly CopyQuestion[],
  clock: Clock,
): Promise<CopiesFacts> {
  const found: CopyFacts[] = [];
  const twins = await findTwins(primary, copies);
  for (const { name, required, store, directory } of copies) {
    found.push({
      ...{ name, required },
      store: await gatherStore(store, directory, clock),
      volume: directory === null ? null : await gatherVolume(directory),
      isPrimaryItself: twins.get(name) ?? null,
    });
  }
  return { copies: found, status: await readPlaces([{ name: 'primary', store: primary, required: true }, ...copies]) };
}

/** Two addresses may lead to one place, which nobody sees by looking at them: so an object of the primary is looked for in the copies. */
async function findTwins(primary: ObjectStore, copies: readonly StorePlace[]): Promise<Map<string, boolean>> {
  const found = new Map<string, boolean>();
  const name = drawProbeName();
  try {
    await primary.putIfAbsent(name, Buffer.from(name));
    for (const copy of copies) {
      const stat = await unlessAway(() => copy.store.stat(name));
      if (stat !== undefined) found.set(copy.name, stat !== null);
    }
  } catch (error) {
    // What is wrong with the primary is told by its own checks.
    if (!(error instanceof HoldfastError)) throw error;
  } finally {
    // One that cannot be deleted is told by the primary's own checks.
    await unlessAway(() => primary.delete(name));
  }
  return found;
}

/** `undefined` for a place that does not answer: its own checks tell. */
async function unlessAway<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}
