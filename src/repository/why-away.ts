import { HoldfastError } from '../lib/index.ts';
import { FORMAT_NAME } from './format/index.ts';
import type { ObjectStore } from './object-store/index.ts';

/** Why no repository answers in a place; `null` when one does. Errors: only faults of the program. */
export async function whyAway(store: ObjectStore): Promise<HoldfastError | null> {
  try {
    if ((await store.stat(FORMAT_NAME)) !== null) return null;
    return new HoldfastError('REPOSITORY_ABSENT', `cannot find a repository in ${store.description}`, {
      detail: 'Expected the object "format", found none.',
    });
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
}
