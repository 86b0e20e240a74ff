import type { ObjectStore } from '../../src/repository/index.ts';

/** The calls that change a store. */
const CHANGES = ['putIfAbsent', 'putFileIfAbsent', 'putVolatile', 'delete'] as const;
type Change = (typeof CHANGES)[number];

/** Thrown by every call once the store has stopped: to the program it is the end of the world, as `kill -9` would be. */
export class StoreStopped extends Error {
  override readonly name = 'StoreStopped';
}

/** A store that works until a given change, and never again. */
export interface StoppingStore {
  store: ObjectStore;
  /** Changes so far, each as the call and the object's name. */
  readonly changes: readonly string[];
  readonly hasStopped: boolean;
}

/**
 * Wraps a store so that it stops at change number `stopAt` (from 1): `before` it takes effect, or `after`, when only the answer is lost.
 * With `stopAt` infinite it only writes down the changes.
 */
export function stopStoreAt(inner: ObjectStore, stopAt: number, when: 'before' | 'after'): StoppingStore {
  const changes: string[] = [];
  const state = { stopped: false };
  const stop = (): never => {
    state.stopped = true;
    throw new StoreStopped(`stopped ${when} change ${stopAt}`);
  };
  const store = new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...given: unknown[]): unknown => {
        if (state.stopped) throw new StoreStopped('the store has stopped');
        if (!CHANGES.includes(name as Change)) return value.apply(target, given);
        changes.push(`${String(name)} ${String(given[0])}`);
        const isLast = changes.length === stopAt;
        if (isLast && when === 'before') return Promise.reject(catchStop(stop));
        const done = value.apply(target, given) as Promise<unknown>;
        return isLast ? done.then(stop) : done;
      };
    },
  });
  return {
    store,
    changes,
    get hasStopped() {
      return state.stopped;
    },
  };
}

function catchStop(stop: () => never): unknown {
  try {
    return stop();
  } catch (error) {
    return error;
  }
}
