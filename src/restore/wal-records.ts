import { HoldfastError } from '../lib/index.ts';
import { formatLsn, segmentStartOf, type WalRecord, type WalStop } from '../postgres/index.ts';
import {
  findLastCommit as findLastCommitOf,
  isEndOfInput,
  LandmarkReader,
  lastRecord,
  scanRecords,
  type TransactionLandmark,
} from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import { historyOf, inventoryOf, type WalRoute } from './wal-route.ts';

/** Where a record lies: from `lsn` to `endLsn`, where the next one may begin. */
export interface RecordPlace {
  readonly lsn: bigint;
  readonly endLsn: bigint;
}

/** WAL in which records are looked for: not before `floor`, where a record begins, and not beyond `reach`. */
export interface SearchRange {
  readonly floor: bigint;
  readonly reach: bigint;
}

/**
 * The first whole record that begins at `lsn` or later, and the one before it. Both may be null: the first when the stored WAL ends
 * earlier, the second when nothing precedes it in the range.
 *
 * Errors: RESTORE_WAL_UNREADABLE when stored WAL does not go on as it must; OBJECT_DAMAGED; those of the store.
 */
export async function findRecordFrom(
  repository: Repository,
  route: WalRoute,
  lsn: bigint,
  range: SearchRange,
): Promise<{ record: RecordPlace | null; before: RecordPlace | null }> {
  const { segmentBytes } = route.lineage.header;
  // One segment is enough unless the record is the first that begins in it: then the one before begins further back.
  for (let from = maxLsn(range.floor, segmentStartOf(lsn, segmentBytes)); ; ) {
    const found = await scanForRecord(repository, route, lsn, { from, to: range.reach });
    if (found.before !== null || from <= range.floor) return found;
    from = maxLsn(range.floor, segmentStartOf(from - 1n, segmentBytes));
  }
}

async function scanForRecord(
  repository: Repository,
  route: WalRoute,
  lsn: bigint,
  range: { from: bigint; to: bigint },
): Promise<{ record: RecordPlace | null; before: RecordPlace | null }> {
  const found: { record: RecordPlace | null; before: RecordPlace | null } = { record: null, before: null };
  const visit = (record: WalRecord) => {
    if (found.record !== null) return;
    if (record.lsn < lsn) found.before = placeOf(record);
    else found.record = placeOf(record);
  };
  const scan = scanRecords(repository, inventoryOf(route), { ...historyOf(route), ...range }, visit);
  for (;;) {
    const step = await scan.next();
    if (found.record !== null) {
      await scan.return(undefined as never);
      return found;
    }
    if (!step.done) continue;
    if (!isEndOfInput(step.value)) throw unreadable(step.value);
    return found;
  }
}

/** The last whole record before the end of what is stored; null when there is none. Errors: as `findRecordFrom`. */
export async function findLastRecord(
  repository: Repository,
  route: WalRoute,
  from: bigint,
): Promise<RecordPlace | null> {
  const last = await lastRecord(repository, inventoryOf(route), { ...historyOf(route), from });
  if (last === null) return null;
  // WAL that was confirmed as durable ends where input ends; anything else is damage, and what lies behind it would be lost unsaid.
  if (!isEndOfInput(last.stop)) throw unreadable(last.stop);
  return placeOf(last);
}

/** The last commit of those whose records lie in [from, to); null when there is none. Errors: as `LandmarkReader.read`. */
export function findLastCommit(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
): Promise<TransactionLandmark | null> {
  return findLastCommitOf(repository, inventoryOf(route), { ...historyOf(route), ...range });
}

/** Reads what there is on a route to aim at. */
export function landmarksOf(repository: Repository, route: WalRoute): LandmarkReader {
  return new LandmarkReader(repository, inventoryOf(route), historyOf(route));
}

/** Errors that say that stored WAL is damaged or gone. Anything else is the store's own trouble and says nothing about what is stored. */
const UNREADABLE_CODES = [
  'OBJECT_DAMAGED',
  'OBJECT_ABSENT',
  'WAL_RECORD_UNREADABLE',
  'RESTORE_WAL_UNREADABLE',
  'WAL_SEGMENT_ABSENT',
];

export function isWalUnreadable(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && UNREADABLE_CODES.includes(error.code);
}

/** True for the commit of a transaction, plain or prepared. */
export function isCommit(landmark: { kind: string }): landmark is TransactionLandmark {
  return landmark.kind === 'transaction' && (landmark as TransactionLandmark).transaction.outcome === 'commit';
}

function placeOf({ lsn, endLsn }: RecordPlace): RecordPlace {
  return { lsn, endLsn };
}

function maxLsn(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** The error for stored WAL that does not go on as it must. */
export function unreadable(stop: WalStop): HoldfastError {
  return new HoldfastError('RESTORE_WAL_UNREADABLE', `cannot read stored WAL at ${formatLsn(stop.lsn)}`, {
    detail: `Expected the next record there. ${stop.detail} All WAL before ${formatLsn(stop.validEndLsn)} is whole.`,
    hints: [`Restore to ${formatLsn(stop.validEndLsn)} or to an earlier position.`],
  });
}
