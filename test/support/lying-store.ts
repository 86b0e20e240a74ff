import { HoldfastError } from '../../src/lib/index.ts';
import { memoryStore, type ObjectEntry, type ObjectStore } from '../../src/repository/index.ts';
import { entriesIn } from './listing.ts';
import { storeWith } from './store-with.ts';

/** A store in memory of which some calls are answered otherwise: as one would that does not keep its promises. */
export type Lies = (
  honest: ObjectStore,
  rewrite: (name: string, bytes: Uint8Array) => Promise<void>,
) => Partial<ObjectStore>;

/** `rewrite` stores bytes under a name, whatever is there. */
export function lyingStore(lies: Lies, honest: ObjectStore = memoryStore()): ObjectStore {
  const rewrite = async (name: string, bytes: Uint8Array) => {
    await honest.delete(name);
    await honest.putIfAbsent(name, bytes);
  };
  return storeWith(honest, lies(honest, rewrite));
}

const joined = (parts: Uint8Array | readonly Uint8Array[]) =>
  Buffer.concat(parts instanceof Uint8Array ? [parts] : parts);

const denied = async (): Promise<never> => {
  throw new HoldfastError('STORE_DENIED', 'could not do it: not permitted');
};

/** Stores that break one promise each, in ways that have been met. */
export const lies = {
  /** A condition that is ignored: whoever comes last has it. */
  overwrites: (_, rewrite) => ({
    putIfAbsent: async (name, parts) => {
      await rewrite(name, joined(parts));
      return 'created';
    },
  }),
  /** A condition that is ignored, by a driver that does not notice. */
  overwritesAndSaysNot: (honest, rewrite) => ({
    putIfAbsent: async (name, parts) => {
      const outcome = (await honest.stat(name)) === null ? 'created' : 'exists';
      await rewrite(name, joined(parts));
      return outcome;
    },
  }),
  /** A condition that is looked at before the bytes arrive. */
  checksTooEarly: (honest, rewrite) => ({
    putIfAbsent: async (name, parts) => {
      if ((await honest.stat(name)) !== null) return 'exists';
      await new Promise(setImmediate);
      await rewrite(name, joined(parts));
      return 'created';
    },
  }),
  /** A cache that keeps what it was once told to be absent. */
  remembersAbsence: (honest) => {
    const absent = new Set<string>();
    return {
      stat: async (name) => {
        const found = absent.has(name) ? null : await honest.stat(name);
        if (found === null) absent.add(name);
        return found;
      },
      get: async (name) => honest.get(absent.has(name) ? 'nowhere' : name),
    };
  },
  otherBytes: (honest) => ({ get: async (name) => Buffer.from(await honest.get(name)).fill(7, 3, 4) }),
  /** `Range` is ignored and the whole object sent. */
  noRange: (honest) => ({ getRange: (name) => honest.get(name) }),
  refusesRange: () => ({
    getRange: async () => {
      throw new HoldfastError('STORE_FAILED', 'could not read: ranges are not known here');
    },
  }),
  /** Beyond the end there are zeros. */
  paddedRange: (honest) => ({
    getRange: async (name, offset, length) => {
      const bytes = await honest.get(name);
      return Buffer.concat([bytes, Buffer.alloc(offset + length)]).subarray(offset, offset + length);
    },
  }),
  /** Every listing is the first one again. */
  staleListing: (honest) => {
    const known = new Map<string, ObjectEntry[]>();
    return {
      list: async function* (prefix) {
        if (!known.has(prefix)) known.set(prefix, await entriesIn(honest, prefix));
        yield* known.get(prefix)!;
      },
    };
  },
  staleOverwrite: () => ({ putVolatile: async () => {} }),
  neverDeletes: () => ({ delete: async () => {} }),
  /** Gone when asked for, and listed still. */
  listsDeleted: (honest) => {
    const deleted: ObjectEntry[] = [];
    return {
      delete: async (name) => {
        const object = await honest.stat(name);
        if (object !== null) deleted.push({ name, ...object });
        await honest.delete(name);
      },
      list: async function* (prefix, options) {
        yield* honest.list(prefix, options);
        yield* deleted;
      },
    };
  },
  mayNotDelete: () => ({ delete: denied }),
  mayNotOverwrite: () => ({ putVolatile: denied }),
  clockAhead: (honest) => ({ now: async () => (await honest.now()) + 10 * 60_000 }),
  datesBehind: (honest) => ({
    stat: async (name) => {
      const found = await honest.stat(name);
      return found === null ? null : { ...found, modifiedAt: found.modifiedAt - 10 * 60_000 };
    },
  }),
  noLocks: () => ({
    lock: { lockFor: () => 1000, extend: async () => {}, until: async () => null },
    protection: async () => ({ versioning: 'on', lock: 'off' }),
  }),
} satisfies Record<string, Lies>;
