import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, HoldfastError, systemClock } from '../../lib/index.ts';
import { openAzureStore, parseAzureLocation } from './azure/index.ts';
import type { StoreCredentials } from './credentials.ts';
import { openDiskIntruder } from './disk-intruder.ts';
import { openDiskStore } from './disk-store.ts';
import type { Intruder } from './intruder.ts';
import { type Retry, retrying } from './retrying-store.ts';
import { openS3Store, parseS3Location } from './s3/index.ts';
import type { ObjectStore } from './store.ts';

/** What a store is opened with. */
export interface StoreOptions {
  readonly clock?: Clock;
  /** Absent: what the driver finds by itself. */
  readonly credentials?: StoreCredentials;
  /** Where temporary files go, for stores that are not on this host. Absent: a directory that ends with this process. */
  readonly scratchDirectory?: string;
  /** For how many milliseconds from now an object of this name is locked when it is put; `null` for not at all. */
  readonly lockFor?: (name: string) => number | null;
  /** How often what failed for a while is tried; about a minute of tries when left out. Less where another place can be asked instead. */
  readonly attempts?: number;
  /** Ends all that is under way, and the waiting between two tries. */
  readonly signal?: AbortSignal;
  /** Told of each call that fails for a while and is tried again, when it fails first. */
  readonly onRetry?: (retry: Retry) => void;
}

/**
 * Opens the store that a location names: a path or a `file:` address, `s3://bucket/prefix?…` or `azure://account/container/prefix?…`. Nothing is
 * touched before the first call.
 *
 * Errors: `STORE_LOCATION_INVALID` for a location of a kind that this version cannot reach; no credential that stands in it is repeated.
 */
export function openStore(location: string, options: StoreOptions = {}): ObjectStore {
  const { clock = systemClock, signal, attempts, onRetry } = options;
  return retrying(openDriver(location, { ...options, clock }), {
    clock,
    ...(signal === undefined ? {} : { signal }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(onRetry === undefined ? {} : { onRetry }),
  });
}

/**
 * Whoever has the credentials of a place, with all that the place lets them do.
 *
 * For testing a place on purpose only. Errors: as `openStore`.
 */
export async function openIntruder(location: string, options: StoreOptions = {}): Promise<Intruder> {
  const directory = directoryOfLocation(location);
  if (directory !== null) return openDiskIntruder(directory);
  const { clock = systemClock, credentials, signal } = options;
  const given = {
    description: openStore(location).description,
    ...(credentials === undefined ? {} : { credentials }),
    ...(signal === undefined ? {} : { signal }),
  };
  // The SDKs take a tenth of a second to load, which only their users shall wait.
  if (schemeOf(location) === 'azure') {
    const { openAzureIntruder } = await import('./azure/intruder.ts');
    return openAzureIntruder(parseAzureLocation(location), { ...given, clock });
  }
  const { openS3Intruder } = await import('./s3/intruder.ts');
  return openS3Intruder({ location: parseS3Location(location), ...given });
}

/** The directory that a location names; `null` for a store that is none. Errors: `STORE_LOCATION_INVALID`. */
export function directoryOfLocation(location: string): string | null {
  const scheme = schemeOf(location);
  if (scheme === null || scheme === 'file') return resolve(pathOf(location, scheme));
  // Whatever is wrong with it is told here, too.
  openStore(location);
  return null;
}

function openDriver(location: string, options: StoreOptions & { clock: Clock }): ObjectStore {
  const scheme = schemeOf(location);
  switch (scheme) {
    case null:
    case 'file':
      return openDiskStore(pathOf(location, scheme), options);
    case 's3':
      return openS3Store(parseS3Location(location), options);
    case 'azure':
      return openAzureStore(parseAzureLocation(location), options);
    default:
      throw new HoldfastError('STORE_LOCATION_INVALID', `cannot open a repository at a "${scheme}" address`, {
        detail: `Expected the path of a directory or an address that begins with "s3://" or "azure://", found one that begins with "${scheme}://".`,
        hints: [
          'Give the path of a directory, s3://bucket/prefix or azure://account/container/prefix; docs/object-stores.md has every form.',
        ],
      });
  }
}

/** What stands before "://" in an address; `null` for a path. */
function schemeOf(location: string): string | null {
  return /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(location)?.[1]?.toLowerCase() ?? null;
}

function pathOf(location: string, scheme: 'file' | null): string {
  if (scheme === 'file') return fileURLToPath(location);
  if (location !== '') return location;
  throw new HoldfastError('STORE_LOCATION_INVALID', 'cannot open a repository without a location', {
    detail: 'Expected the path of a directory or an address, found nothing.',
    hints: ['Give the path of a directory or s3://bucket/prefix; docs/object-stores.md has every form.'],
  });
}
