import { codeOf } from '../../lib/index.ts';
import type { ObjectEntry, ObjectStore } from '../object-store/index.ts';
import { PROBE_PREFIX } from './probe-name.ts';

/** What an earlier probe left behind is removed after this long; no probe takes a part of it. */
const LEFT_OVER_MS = 60 * 60 * 1000;

/** The objects of this probe and of others. Errors: those of the store. */
export async function listProbes(store: ObjectStore): Promise<ObjectEntry[]> {
  const probes: ObjectEntry[] = [];
  for await (const probe of store.list(PROBE_PREFIX)) probes.push(probe);
  return probes;
}

/** Removes what probes left that were broken off; `now` by the store's clock. Errors: those of the store, but that it may not. */
export async function removeLeftOvers(store: ObjectStore, now: number): Promise<void> {
  for (const { name, modifiedAt } of await listProbes(store)) {
    // One that may not be deleted stays; the same is found out about this probe's own objects.
    if (now - modifiedAt > LEFT_OVER_MS && !(await isPermitted(() => store.delete(name)))) return;
  }
}

/** Does it, and says whether it was permitted. Errors: the other ones of the store. */
export async function isPermitted(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    if (codeOf(error) === 'STORE_DENIED') return false;
    throw error;
  }
}
