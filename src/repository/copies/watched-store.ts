import type { ObjectStore, StorePlace } from '../object-store/index.ts';
import type { PlaceWatch } from './place-watch.ts';

/** The place with a store of which every call goes past its watch: what another place does not give is no word about it. */
export function watched(watch: PlaceWatch): StorePlace {
  return { ...watch.place, store: watchedStore(watch) };
}

/** The place, with every call going past its watch. */
export function watchedStore(watch: PlaceWatch): ObjectStore {
  const { store } = watch.place;
  return {
    description: store.description,
    putIfAbsent: (name, parts) => watch.use(() => store.putIfAbsent(name, parts)),
    putFileIfAbsent: (name, path) => watch.use(() => store.putFileIfAbsent(name, path)),
    spoolDirectory: () => watch.use(() => store.spoolDirectory()),
    get: (name) => watch.use(() => store.get(name)),
    getRange: (name, offset, length) => watch.use(() => store.getRange(name, offset, length)),
    stat: (name) => watch.use(() => store.stat(name)),
    async *list(prefix, options) {
      const listing = store.list(prefix, options)[Symbol.asyncIterator]();
      for (let next = await watch.use(() => listing.next()); !next.done; next = await watch.use(() => listing.next()))
        yield next.value;
    },
    delete: (name) => watch.use(() => store.delete(name)),
    putVolatile: (name, body) => watch.use(() => store.putVolatile(name, body)),
    now: () => watch.use(() => store.now()),
  };
}
