import type { ObjectStore } from '../../src/repository/index.ts';

/**
 * A store in front of a real one, of which some members are others: calls that are answered otherwise, and whatever else a test wants to see of it.
 * All that is not among `others` is the real one's.
 */
export function storeWith<Others extends Partial<ObjectStore>>(
  inner: ObjectStore,
  others: Others,
): ObjectStore & Others {
  const holderOf = (key: PropertyKey): object => (key in others ? others : inner);
  const store = new Proxy(inner, {
    get: (_, key) => {
      const holder = holderOf(key);
      const value: unknown = Reflect.get(holder, key, holder);
      return typeof value === 'function' ? value.bind(holder) : value;
    },
    set: (_, key, value) => Reflect.set(holderOf(key), key, value),
    has: (_, key) => key in others || key in inner,
  });
  return store as ObjectStore & Others;
}
