import { HoldfastError } from '../lib/index.ts';
import { FORMAT_NAME } from './format/index.ts';
import { SLOT_PREFIX } from './key/index.ts';
import type { ObjectStore } from './object-store/index.ts';

/**
 * What lies where a repository is, or is to be.
 *
 * `half-created`: key slots alone, so an `init` was broken off and nothing was ever stored. `format-absent`: a repository that has lost the
 * object that makes it one. `foreign`: something of somebody else.
 */
export type Place =
  | { state: 'format' }
  | { state: 'empty' }
  | { state: 'half-created' }
  | { state: 'format-absent'; error: HoldfastError }
  | { state: 'foreign'; example: string };

/** Looks at the names in a store until they tell what it is. Errors: those of the store. */
export async function diagnosePlace(store: ObjectStore): Promise<Place> {
  if ((await store.stat(FORMAT_NAME)) !== null) return { state: 'format' };
  let hasSlots = false;
  let other: string | null = null;
  for await (const { name } of store.list('')) {
    if (name.startsWith(SLOT_PREFIX)) hasSlots = true;
    else other ??= name;
    if (hasSlots && other !== null) return { state: 'format-absent', error: formatAbsent(store, other) };
  }
  if (other !== null) return { state: 'foreign', example: other };
  return { state: hasSlots ? 'half-created' : 'empty' };
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
