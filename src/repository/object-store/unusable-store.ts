import type { HoldfastError } from '../../lib/index.ts';
import type { ObjectStore } from './store.ts';

/** A store of which it is known beforehand that it cannot be used: every call fails with the same error. */
export function unusableStore(description: string, error: HoldfastError): ObjectStore {
  const fail = () => Promise.reject(error);
  return {
    description,
    ...{ putIfAbsent: fail, putFileIfAbsent: fail, spoolDirectory: fail, get: fail, getRange: fail, stat: fail },
    ...{ delete: fail, putVolatile: fail, now: fail },
    // biome-ignore lint/correctness/useYield: a listing that fails before its first name.
    async *list() {
      throw error;
    },
  };
}
