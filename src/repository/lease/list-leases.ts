import { mapAhead } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent, type ObjectEntry } from '../object-store/index.ts';
import { isUnreadableRecord, readRecord, type SealedObjects } from '../sealed/index.ts';
import { LEASE_MS, type LeaseRecord, leaseRecord, MARGIN_MS } from './lease.ts';

/** Leases that are asked for at once. */
const READS_MAX = 16;

/** A lease as it lies in the store. Times are the store's, in milliseconds since 1970. */
export interface StoredLease {
  readonly name: string;
  /** When it was taken or renewed last. */
  readonly storedAt: number;
  /** `null` for one that cannot be read: whoever holds it is not known. */
  readonly record: LeaseRecord | null;
}

/** Every lease that is there now, over or not. Errors: those of the store. */
export async function listLeases(objects: SealedObjects): Promise<StoredLease[]> {
  const leases: StoredLease[] = [];
  const read = ({ name, modifiedAt }: ObjectEntry) => readLease(objects, name, modifiedAt);
  const listed = objects.store.list(kindPrefix('lease'));
  for await (const lease of mapAhead(listed, { atOnceMax: READS_MAX }, read)) if (lease !== null) leases.push(lease);
  return leases;
}

/** Whether its holder may believe to have it still, by the store's time. One that cannot be read lives as long as any lease could. */
export function isLeaseAlive({ storedAt, record }: StoredLease, now: number): boolean {
  const end = record === null ? storedAt + LEASE_MS : Date.parse(record.expiresAt);
  return end + MARGIN_MS >= now;
}

/** When the run behind a lease began, by the store's time; one that cannot be read may have begun at any time. */
export function leaseBegan({ record }: StoredLease): number {
  return record === null ? 0 : Date.parse(record.startedAt);
}

async function readLease(objects: SealedObjects, name: string, storedAt: number): Promise<StoredLease | null> {
  try {
    return { name, storedAt, record: readRecord(leaseRecord, name, await objects.getJson('lease', name)) };
  } catch (error) {
    // Given up since it was listed.
    if (isAbsent(error)) return null;
    if (!isUnreadableRecord(error)) throw error;
    return { name, storedAt, record: null };
  }
}
