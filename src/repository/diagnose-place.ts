import { HoldfastError } from '../lib/index.ts';
import { FEATURE_PREFIX, FORMAT_NAME } from './format/index.ts';
import { SLOT_PREFIX } from './key/index.ts';
import type { ObjectStore } from './object-store/index.ts';
import { PROBE_PREFIX } from './probe/index.ts';

/**
 * What lies where a repository is, or is to be.
 *
 * `half-created`: key slots and features alone, so an `init` was broken off and nothing was ever stored. `format-absent`: a repository that
 * has lost the object that makes it one. `foreign`: something of somebody else.
 */
export type Place =
  | { state: 'format' }
  | { state: 'empty' }
  | { state: 'half-created' }
  | { state: 'format-absent'; error: HoldfastError }
  | { state: 'foreign'; example: string };

/** What an `init` writes before `format`, and what a probe leaves. */
const TELLS_NOTHING = [SLOT_PREFIX, FEATURE_PREFIX, PROBE_PREFIX];

/** Looks at the names in a store until they tell what it is; what a probe had to leave tells nothing. Errors: those of the store. */
export async function diagnosePlace(store: ObjectStore): Promise<Place> {
  if ((await store.stat(FORMAT_NAME)) !== null) return { state: 'format' };
  const hasSlots = (await findName(store, SLOT_PREFIX, () => true)) !== null;
  const other = await findName(store, '', (name) => !TELLS_NOTHING.some((prefix) => name.startsWith(prefix)));
  if (other === null) {
    const hasFeatures = (await findName(store, FEATURE_PREFIX, () => true)) !== null;
    return { state: hasSlots || hasFeatures ? 'half-created' : 'empty' };
  }
  return hasSlots
    ? { state: 'format-absent', error: formatAbsent(store, other) }
    : { state: 'foreign', example: other };
}

/** The first such name; a place of somebody else may hold any number, so that reading all of them is no option. */
async function findName(
  store: ObjectStore,
  prefix: string,
  isWanted: (name: string) => boolean,
): Promise<string | null> {
  for await (const { name } of store.list(prefix)) if (isWanted(name)) return name;
  return null;
}

function formatAbsent(store: ObjectStore, example: string): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_FORMAT_ABSENT',
    `cannot open the repository in ${store.description}: its object "format" is gone`,
    {
      detail: `Expected "format" beside its keys, found keys and other objects (such as "${example}") without it.`,
      hints: ['Put "format" back from a copy of the repository; its keys prove that it is the right one.'],
    },
  );
}
