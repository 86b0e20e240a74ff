import { assert, formatMoment, HoldfastError, inLanes } from '../../lib/index.ts';
import { isAbsent, type ObjectLock, type ObjectStore } from '../object-store/index.ts';
import { lockNeed } from './lock-rule.ts';

/** Requests under way at once: a lock is one small request, so that only the store's delay counts. */
const LANES = 32;

/** What came of making sure that objects are locked. Times in milliseconds since 1970, the store's. */
export interface LockExtension {
  /** The earliest moment at which one of the objects is no longer locked. */
  readonly until: number;
  readonly objects: number;
  /** How many had to be asked about, and how many had less than they need. */
  readonly asked: number;
  readonly extended: number;
  /** Objects that are not there, where that is no error. */
  readonly absent: number;
}

/**
 * Makes sure that objects of one place stay locked for as long as they are needed, and extends by a stride where less remains (rule C6).
 *
 * `like` names an object by whose rule all of them are locked, instead of each by its own. `known` says what earlier calls learnt, and is brought up to date: what it knows to be locked long enough is not asked about again. A lock cannot be
 * shortened, so what was true once holds; what an owner of the place might have done in spite of that is found by reading the locks themselves.
 * Safe to repeat. Errors: `OBJECT_ABSENT` when one of them is gone, unless `passesAbsent`; `LOCK_REFUSED` when the store took an extension and keeps nothing of it; those of the
 * store, `STORE_DENIED` and `STORE_LOCK_ABSENT` among them.
 */
export async function extendLocks(options: {
  store: ObjectStore;
  names: Iterable<string> | AsyncIterable<string>;
  known?: Map<string, number>;
  like?: string;
  passesAbsent?: boolean;
  signal?: AbortSignal;
}): Promise<LockExtension> {
  const { store, signal, known = new Map<string, number>() } = options;
  const { lock } = store;
  assert(lock !== undefined, 'only a place with locks has any to extend');
  const now = await store.now();
  const tally = { until: Number.POSITIVE_INFINITY, objects: 0, asked: 0, extended: 0, absent: 0 };
  await inLanes(LANES, options.names, async (name) => {
    signal?.throwIfAborted();
    const rule = options.like ?? name;
    const need = lockNeed(lock.lockFor, rule);
    if (need === null) return;
    tally.objects += 1;
    let until = known.get(name) ?? 0;
    try {
      if (until < now + need) {
        tally.asked += 1;
        until = (await lock.until(name)) ?? 0;
      }
      if (until < now + need) {
        tally.extended += 1;
        until = await extendOne(lock, name, now + lock.lockFor(rule)!);
      }
    } catch (error) {
      if (options.passesAbsent !== true || !isAbsent(error)) throw error;
      tally.absent += 1;
      return;
    }
    known.set(name, until);
    tally.until = Math.min(tally.until, until);
  });
  return tally;
}

/**
 * Proves on one object that the place can keep the locks that are asked of it, before anything is written there.
 *
 * Errors: as `extendLocks`.
 */
export async function proveLock(store: ObjectStore, name: string): Promise<void> {
  const { lock } = store;
  if (lock === undefined) return;
  const now = await store.now();
  const need = lockNeed(lock.lockFor, name);
  if (need === null || ((await lock.until(name)) ?? 0) >= now + need) return;
  await extendOne(lock, name, now + lock.lockFor(name)!);
}

/** Reads back what it set: a server that does not know locks may take the request and forget it. */
async function extendOne(lock: ObjectLock, name: string, wanted: number): Promise<number> {
  await lock.extend(name, wanted);
  const until = await lock.until(name);
  // Stores keep whole seconds.
  if (until !== null && until >= wanted - 1000) return until;
  throw new HoldfastError('LOCK_REFUSED', `cannot keep object "${name}" locked`, {
    detail: `Expected it to be locked until ${formatMoment(wanted)}, found ${until === null ? 'no lock' : `a lock until ${formatMoment(until)}`}, although the store took the request.`,
    hints: ['Give the place a store that keeps locks, or take its locks out of the plan.'],
  });
}
