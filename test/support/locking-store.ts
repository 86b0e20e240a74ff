import { HoldfastError } from '../../src/lib/index.ts';
import type { LockRule, ObjectLock, ObjectStore, PlaceProtection, PutOutcome } from '../../src/repository/index.ts';
import { storeWith } from './store-with.ts';

/** What a test sees of a store that locks, and does with it. */
export interface Locking {
  readonly lock: ObjectLock;
  /** Requests about locks, by what they ask for. */
  readonly asked: string[];
  readonly extended: string[];
  /** What the server does with a request to extend: it does it, forgets it, or refuses it. */
  behaviour: 'keeps' | 'forgets' | 'denies' | 'has-none';
  /** What only the owner of a place could do. */
  cut(name: string, until: number | null): void;
}

/** A store that keeps locks beside a real one: what is put is locked by the rule, and only `cut` shortens. */
export function lockingStore(store: ObjectStore, rule: LockRule): ObjectStore & Locking {
  const locks = new Map<string, number>();
  const lockNew = async (name: string, outcome: PutOutcome): Promise<PutOutcome> => {
    const period = outcome === 'created' ? rule(name) : null;
    if (period !== null) locks.set(name, (await store.now()) + period);
    return outcome;
  };
  const others: Partial<ObjectStore> & Locking = {
    asked: [],
    extended: [],
    behaviour: 'keeps',
    lock: {
      lockFor: rule,
      until: async (name) => {
        others.asked.push(name);
        if (others.behaviour === 'has-none') throw new HoldfastError('STORE_LOCK_ABSENT', 'cannot lock objects here');
        await store.getRange(name, 0, 0);
        return locks.get(name) ?? null;
      },
      extend: async (name, until) => {
        others.extended.push(name);
        if (others.behaviour === 'denies') throw new HoldfastError('STORE_DENIED', 'cannot lock: denied');
        await store.getRange(name, 0, 0);
        if (others.behaviour === 'keeps') locks.set(name, Math.max(until, locks.get(name) ?? 0));
      },
    },
    cut: (name, until) => {
      if (until === null) locks.delete(name);
      else locks.set(name, until);
    },
    putIfAbsent: async (name, parts) => lockNew(name, await store.putIfAbsent(name, parts)),
    putFileIfAbsent: async (name, path) => lockNew(name, await store.putFileIfAbsent(name, path)),
    protection: async (): Promise<PlaceProtection> => ({
      versioning: 'on',
      lock: others.behaviour === 'has-none' ? 'off' : 'on',
    }),
  };
  return storeWith(store, others);
}
