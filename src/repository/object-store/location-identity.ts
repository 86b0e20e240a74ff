import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import { directoryOfLocation } from './open-store.ts';

/** What tells one place from another, whatever it is called. */
export interface LocationIdentity {
  /** The disk's file system or the store, without the place in it. */
  readonly store: string;
  /** The way to it from there, part by part. */
  readonly parts: readonly string[];
  /** Of a directory that is there: its device and number, which are the same under every name and mount of it. */
  readonly inode: string | null;
}

/** How a place lies to another one. `inside`: the first lies below the second; `around`: the second below the first. */
export type PlaceRelation = 'same' | 'inside' | 'around' | 'apart';

/**
 * Finds out where a location leads: for a directory through links and mounts, for an address by endpoint, bucket and prefix. Nothing is asked of
 * a store, and only whoever opens the place says whether an address is right. Errors: `STORE_LOCATION_INVALID` for no location at all.
 */
export async function identifyLocation(location: string): Promise<LocationIdentity> {
  if (/^(?!file:)[a-z][a-z0-9+.-]*:\/\//i.test(location)) return identifyAddress(location);
  return await identifyDirectory(directoryOfLocation(location)!);
}

export function relateLocations(one: LocationIdentity, other: LocationIdentity): PlaceRelation {
  if (one.inode !== null && one.inode === other.inode) return 'same';
  if (one.store !== other.store) return 'apart';
  const shared = Math.min(one.parts.length, other.parts.length);
  for (let i = 0; i < shared; i++) if (one.parts[i] !== other.parts[i]) return 'apart';
  if (one.parts.length === other.parts.length) return 'same';
  return one.parts.length > other.parts.length ? 'inside' : 'around';
}

async function identifyDirectory(directory: string): Promise<LocationIdentity> {
  const path = await realpathOfNearest(directory);
  return { store: 'disk', parts: path.split('/').filter(Boolean), inode: await inodeOf(path) };
}

/** The real path of the nearest directory that is there, and the rest behind it. */
async function realpathOfNearest(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (dirname(path) === path || codeOf(error) !== 'ENOENT') return path;
    return join(await realpathOfNearest(dirname(path)), basename(path));
  }
}

async function inodeOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path);
    return `${dev}:${ino}`;
  } catch {
    // Not there, or closed to us: the path alone has to tell.
    return null;
  }
}

/** Names of buckets are unique in all of AWS, and those of accounts in all of Azure, so that only an endpoint of its own tells stores apart. */
const PUBLIC_ENDPOINT = /\.(amazonaws\.com(\.cn)?|core\.windows\.net)$/;

function identifyAddress(location: string): LocationIdentity {
  if (!URL.canParse(location)) return { store: location, parts: [], inode: null };
  const url = new URL(location);
  const endpoint = url.searchParams.get('endpoint');
  const host = endpoint === null || !URL.canParse(endpoint) ? '' : new URL(endpoint).host;
  const store = `${url.protocol}//${PUBLIC_ENDPOINT.test(host.replace(/:\d+$/, '')) ? '' : host}`;
  const parts = [url.hostname, ...url.pathname.split('/').map(decode)].filter(Boolean);
  return { store, parts, inode: null };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A lone "%": whoever opens the place refuses it.
    return part;
  }
}
