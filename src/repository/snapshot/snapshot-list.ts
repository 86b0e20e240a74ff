import { HoldfastError, mapAhead } from '../../lib/index.ts';
import { listAttestations } from '../attestation/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { isUnreadableRecord, readRecord, type SealedObjects } from '../sealed/index.ts';
import { committedName, pendingName, type SnapshotRecord, snapshotRecord } from './snapshot-record.ts';
import { isWithdrawal } from './withdraw-snapshot.ts';

/** A snapshot whose record cannot be read; the backup's data may be sound. */
export interface DamagedSnapshot {
  id: string;
  name: string;
  error: HoldfastError;
}

/** What is committed, oldest first by the start of the backup, and what cannot be read. */
export interface SnapshotList {
  snapshots: SnapshotRecord[];
  damaged: DamagedSnapshot[];
  /** When the store took each record, by id, in the store's own time (milliseconds since 1970): what a writer says of time is only a word. */
  storedAt: Map<string, number>;
  /** Committed records that are damaged and whose pending record, which has the same body, is read in their place. */
  replaced: DamagedSnapshot[];
  /** Ids of announced backups that were withdrawn, with when the store took the withdrawal. */
  withdrawn: Map<string, number>;
}

/** Records that are asked for at once. */
const READS_MAX = 16;

/** Records that were read before, by id. */
export type KnownSnapshots = Map<string, SnapshotRecord>;

/**
 * Every committed snapshot. Errors: those of the store.
 *
 * `known`: records that need not be read once more, as a record never changes; what is read is added, and what is listed no more goes. Whoever wants to
 * know whether records can be read still gives none.
 */
export async function listSnapshots(objects: SealedObjects, known: KnownSnapshots = new Map()): Promise<SnapshotList> {
  const list: SnapshotList = {
    ...{ snapshots: [], damaged: [], replaced: [] },
    ...{ storedAt: new Map(), withdrawn: new Map() },
  };
  const listed = objects.store.list(kindPrefix('snapshot-committed'));
  const read = async ({ name, modifiedAt }: { name: string; modifiedAt: number }) => {
    const id = idOf(name);
    list.storedAt.set(id, modifiedAt);
    const snapshot = known.get(id);
    if (snapshot !== undefined) return { snapshot, damage: null };
    const listed = await readListed(objects, name);
    if (listed === 'withdrawn') {
      list.storedAt.delete(id);
      list.withdrawn.set(id, modifiedAt);
      return { snapshot: null, damage: null };
    }
    return listed;
  };
  for await (const { snapshot, damage } of mapAhead(listed, { atOnceMax: READS_MAX }, read)) {
    if (snapshot !== null) list.snapshots.push(snapshot);
    if (damage !== null) (snapshot === null ? list.damaged : list.replaced).push(damage);
    else if (snapshot !== null) known.set(snapshot.id, snapshot);
  }
  for (const id of known.keys()) if (!list.storedAt.has(id)) known.delete(id);
  list.snapshots.sort((a, b) => compare(a.startedAt, b.startedAt) || compare(a.id, b.id));
  return list;
}

/** The snapshot of a committed record, from its pending one where it is damaged; neither when it was forgotten since it was listed. */
async function readListed(
  objects: SealedObjects,
  name: string,
): Promise<{ snapshot: SnapshotRecord | null; damage: DamagedSnapshot | null } | 'withdrawn'> {
  const id = idOf(name);
  try {
    const record = await readCommitted(objects, id);
    return record === null ? 'withdrawn' : { snapshot: record, damage: null };
  } catch (error) {
    if (isAbsent(error)) return { snapshot: null, damage: null };
    if (!isUnreadableRecord(error)) throw error;
    return { snapshot: await readInItsPlace(objects, id, error), damage: { id, name, error } };
  }
}

/**
 * The one committed snapshot whose id begins with these digits.
 *
 * Errors: `SNAPSHOT_ABSENT`, `SNAPSHOT_AMBIGUOUS`; those of reading the record.
 */
export async function findSnapshot(objects: SealedObjects, idPrefix: string): Promise<SnapshotRecord> {
  const prefix = idPrefix.toLowerCase();
  const found: string[] = [];
  if (/^[0-9a-f]{1,64}$/.test(prefix)) {
    for await (const { name } of objects.store.list(committedName(prefix))) found.push(idOf(name));
  }
  const only = found.length === 1 ? await readSnapshot(objects, found[0]!) : null;
  if (only !== null) return only;
  if (found.length > 1) throw ambiguous(idPrefix, found);
  throw new HoldfastError('SNAPSHOT_ABSENT', `cannot find snapshot "${idPrefix}"`, {
    detail: 'Expected a committed snapshot whose id begins with these hexadecimal digits, found none.',
    hints: ['Run `holdfast list` to see the snapshots.'],
  });
}

/** As far as clocks may differ; S3 itself refuses whoever is further off. */
const SKEW_MS = 15 * 60_000;

/**
 * Whether a snapshot says that it was completed after the store took its record, which no honest clock says (rule B2). A copy takes records later, never earlier.
 */
export function isMisdated({ completedAt }: SnapshotRecord, storedAt: number): boolean {
  return Date.parse(completedAt) > storedAt + SKEW_MS;
}

/** The ids of snapshots that are dated in the future. Errors: those of the store. */
export async function listMisdated(objects: SealedObjects): Promise<Set<string>> {
  const { snapshots, storedAt } = await listSnapshots(objects);
  return new Set(snapshots.filter((record) => isMisdated(record, storedAt.get(record.id)!)).map(({ id }) => id));
}

/** The ids of snapshots that were announced; those that are committed as well are among them. */
export async function listPendingIds(objects: SealedObjects): Promise<string[]> {
  const ids: string[] = [];
  for await (const { name } of objects.store.list(pendingName(''))) ids.push(idOf(name));
  return ids;
}

/**
 * The record of an announced backup, which is also that of the committed one; `null` when it is not there or cannot be read. Whether it was committed is
 * for the caller to know.
 */
export async function readPending(objects: SealedObjects, id: string): Promise<SnapshotRecord | null> {
  try {
    const name = pendingName(id);
    return recordOf(await objects.getJson('snapshot-pending', name), name, id);
  } catch (error) {
    if (isAbsent(error) || isUnreadableRecord(error)) return null;
    throw error;
  }
}

/** `null` for one that was withdrawn. */
async function readSnapshot(objects: SealedObjects, id: string): Promise<SnapshotRecord | null> {
  try {
    return await readCommitted(objects, id);
  } catch (error) {
    const pending = isUnreadableRecord(error) ? await readInItsPlace(objects, id, error) : null;
    if (pending === null) throw error;
    return pending;
  }
}

/**
 * The pending record of a committed one that is damaged. A signed statement about the snapshot has to be there, as only committed ones are attested: else
 * whoever can write to the store could pass an announced backup off as a committed one by any bytes under its name.
 */
async function readInItsPlace(
  objects: SealedObjects,
  id: string,
  error: HoldfastError,
): Promise<SnapshotRecord | null> {
  // Authentic, and not of our form: a newer version wrote it, and knows what it meant.
  if (error.code === 'RECORD_UNRECOGNIZED') return null;
  const { attestations } = await listAttestations(objects, id);
  return attestations.length === 0 ? null : readPending(objects, id);
}

async function readCommitted(objects: SealedObjects, id: string): Promise<SnapshotRecord | null> {
  const name = committedName(id);
  const value = await objects.getJson('snapshot-committed', name);
  return isWithdrawal(value) ? null : recordOf(value, name, id);
}

function recordOf(value: unknown, name: string, id: string): SnapshotRecord {
  const record = readRecord(snapshotRecord, name, value);
  if (record.id === id) return record;
  throw new HoldfastError('RECORD_UNRECOGNIZED', `cannot read record "${name}": it is about another snapshot`, {
    detail: `Expected id ${id}, found ${record.id}.`,
  });
}

function ambiguous(idPrefix: string, found: string[]): HoldfastError {
  const shown = found.slice(0, 5).map((id) => id.slice(0, Math.max(12, idPrefix.length + 4)));
  return new HoldfastError('SNAPSHOT_AMBIGUOUS', `cannot tell which snapshot "${idPrefix}" is meant`, {
    detail: `Expected one snapshot, found ${found.length}: ${shown.join(', ')}${found.length > shown.length ? ', …' : ''}.`,
    hints: ['Type more digits of the id.'],
  });
}

function idOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
