import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, HoldfastError, systemClock } from '../../lib/index.ts';
import { openDiskStore } from './disk-store.ts';
import { retrying } from './retrying-store.ts';
import type { ObjectStore } from './store.ts';

/**
 * Opens the store that a location names: a path, or a `file:` address. Nothing is touched before the first call.
 *
 * Errors: `STORE_LOCATION_INVALID` for a location of a kind that this version cannot reach; no credential that stands in it is repeated.
 */
export function openStore(location: string, options: { clock?: Clock } = {}): ObjectStore {
  const clock = options.clock ?? systemClock;
  return retrying(openDiskStore(pathOf(location), { clock }), { clock });
}

/** The directory that a location names; `null` for a store that is none. Errors: `STORE_LOCATION_INVALID`. */
export function directoryOfLocation(location: string): string | null {
  return resolve(pathOf(location));
}

function pathOf(location: string): string {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(location)?.[1]?.toLowerCase();
  if (scheme === 'file') return fileURLToPath(location);
  if (scheme === undefined && location !== '') return location;
  throw new HoldfastError(
    'STORE_LOCATION_INVALID',
    scheme === undefined
      ? 'cannot open a repository without a location'
      : `cannot open a repository at a "${scheme}" address`,
    {
      detail: `Expected the path of a directory, found ${scheme === undefined ? 'nothing' : `an address that begins with "${scheme}://"`}.`,
      hints: ['This version keeps repositories on disks only: give the path of a directory.'],
    },
  );
}
