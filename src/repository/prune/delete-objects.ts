import { codeOf, inLanes } from '../../lib/index.ts';
import type { Lease } from '../lease/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import type { PruneBudget } from './budget.ts';
import type { OtherObject, Waiting } from './propose-prune.ts';

/** Deletions under way at once: small requests, of which a slow store takes many. */
const LANES = 8;

/** What deletes, and within which bounds. */
export interface Deleter {
  readonly store: ObjectStore;
  readonly lease: Lease;
  readonly budget: PruneBudget;
  /** Whether an object has to stay although nothing here needs it, as the primary has it still. */
  readonly keeps?: (name: string) => Promise<boolean>;
  readonly onDeleted?: (object: OtherObject) => void;
  readonly signal?: AbortSignal;
}

/**
 * Deletes objects, in no order of their own; what cannot go now is given back with the reason. Errors: `LEASE_LOST`; those of the store but locks.
 */
export async function deleteObjects(deleter: Deleter, objects: Iterable<OtherObject>): Promise<Waiting[]> {
  const waiting: Waiting[] = [];
  await inLanes(LANES, objects, async (object) => {
    const why = await deleteObject(deleter, object);
    if (why !== null) waiting.push(why);
  });
  return waiting;
}

/** The same, one after the other. What comes behind one that has to stay may only go after it: it stays as well, for the same reason. */
export async function deleteInOrder(deleter: Deleter, objects: readonly OtherObject[]): Promise<Waiting[]> {
  for (const [at, object] of objects.entries()) {
    const why = await deleteObject(deleter, object);
    if (why !== null) return [why, ...objects.slice(at + 1).map((behind) => ({ ...why, ...behind }))];
  }
  return [];
}

/** The same for several units, some at the same time: each is deleted in its order, and what keeps one of them back keeps no other. */
export async function deleteUnits(deleter: Deleter, units: Iterable<readonly OtherObject[]>): Promise<Waiting[]> {
  const waiting: Waiting[] = [];
  await inLanes(LANES, units, async (unit) => {
    waiting.push(...(await deleteInOrder(deleter, unit)));
  });
  return waiting;
}

async function deleteObject(
  { store, lease, budget, keeps, onDeleted, signal }: Deleter,
  object: OtherObject,
): Promise<Waiting | null> {
  if (budget.isOver) return { ...object, reason: 'budget', until: null };
  if ((await keeps?.(object.name)) === true) return { ...object, reason: 'primary', until: null };
  await budget.paceDeletion(signal);
  signal?.throwIfAborted();
  // Nothing can be deleted once others may take this run for dead. That fences nothing, and is not what safety rests on.
  lease.assertHeld();
  try {
    await store.delete(object.name);
  } catch (error) {
    if (codeOf(error) !== 'OBJECT_LOCKED') throw error;
    return { ...object, reason: 'locked', until: await lockedUntil(store, object.name) };
  }
  onDeleted?.(object);
  return null;
}

/** Until when an object is locked, as far as its place says so: that it is, is told either way. */
async function lockedUntil({ lock }: ObjectStore, name: string): Promise<number | null> {
  if (lock === undefined) return null;
  try {
    return await lock.until(name);
  } catch (error) {
    // Somebody may delete without being allowed to look at locks.
    if (codeOf(error) === 'STORE_DENIED') return null;
    throw error;
  }
}
