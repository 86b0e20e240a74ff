import { networkInterfaces } from 'node:os';
import type { ConnectionTarget } from '../postgres/index.ts';
import { directoryOfLocation } from '../repository/index.ts';
import { gatherVolume, isOnOtherMachine } from './volume.ts';

/** Whether a name or an address of a host means this machine. */
export function isOwnAddress(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  if (bare === 'localhost' || bare === '::1' || bare.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === bare) === true);
}

/** Whether the server runs on this machine, as far as its address tells; `null` when none was named. */
export function isServerHere(source: Pick<ConnectionTarget, 'isLocal' | 'host'> | null): boolean | null {
  return source === null ? null : source.isLocal || isOwnAddress(source.host);
}

/**
 * Whether what lies at a location is lost with this machine: a directory on one of its own disks, or a store that is served from here. A
 * directory that may not be looked at counts as here.
 */
export async function isOnThisMachine(location: string): Promise<boolean> {
  const directory = directoryOfLocation(location);
  if (directory !== null) {
    const volume = await gatherVolume(directory);
    return volume === null || !isOnOtherMachine(volume);
  }
  const endpoint = URL.parse(location)?.searchParams.get('endpoint') ?? null;
  const host = endpoint === null ? null : (URL.parse(endpoint)?.hostname ?? null);
  return host !== null && isOwnAddress(host);
}
