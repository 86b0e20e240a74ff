import { HoldfastError } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { readRecord, type SealedObjects } from '../sealed/index.ts';
import { committedName, pendingName, type SnapshotRecord, snapshotRecord } from './snapshot-record.ts';

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
}

/** Errors of one record; anything else is the store's own trouble and no statement about snapshots. */
const RECORD_CODES = new Set(['OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT', 'RECORD_UNRECOGNIZED']);

/** Every committed snapshot. Errors: those of the store. */
export async function listSnapshots(objects: SealedObjects): Promise<SnapshotList> {
  const list: SnapshotList = { snapshots: [], damaged: [] };
  for await (const { name } of objects.store.list(kindPrefix('snapshot-committed'))) {
    const id = idOf(name);
    try {
      list.snapshots.push(await readSnapshot(objects, id));
    } catch (error) {
      // Forgotten since it was listed.
      if (isAbsent(error)) continue;
      if (!(error instanceof HoldfastError) || !RECORD_CODES.has(error.code)) throw error;
      list.damaged.push({ id, name, error });
    }
  }
  list.snapshots.sort((a, b) => compare(a.startedAt, b.startedAt) || compare(a.id, b.id));
  return list;
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
  if (found.length === 1) return readSnapshot(objects, found[0]!);
  if (found.length > 1) throw ambiguous(idPrefix, found);
  throw new HoldfastError('SNAPSHOT_ABSENT', `cannot find snapshot "${idPrefix}"`, {
    detail: 'Expected a committed snapshot whose id begins with these hexadecimal digits, found none.',
    hints: ['Run `holdfast list` to see the snapshots.'],
  });
}

/** The ids of snapshots that were announced; those that are committed as well are among them. */
export async function listPendingIds(objects: SealedObjects): Promise<string[]> {
  const ids: string[] = [];
  for await (const { name } of objects.store.list(pendingName(''))) ids.push(idOf(name));
  return ids;
}

async function readSnapshot(objects: SealedObjects, id: string): Promise<SnapshotRecord> {
  const name = committedName(id);
  const record = readRecord(snapshotRecord, name, await objects.getJson('snapshot-committed', name));
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
