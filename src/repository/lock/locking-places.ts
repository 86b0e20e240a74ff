import type { ObjectStore, StorePlace } from '../object-store/index.ts';

/** The places of a store that are asked to keep locks, each to be locked by itself. */
export function lockingPlaces(store: ObjectStore): StorePlace[] {
  const places = store.places ?? [{ name: 'primary', store, required: true }];
  return places.filter((place) => place.store.lock !== undefined);
}
