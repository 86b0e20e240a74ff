import {
  type PreparedTransaction,
  parsePreparedTransaction,
  parseStorageEvent,
  parseTransactionEnd,
  parseXlogEvent,
  ResourceManager,
  type StorageEvent,
  type TransactionEnd,
  type WalRecord,
  type XlogEvent,
} from '../../postgres/index.ts';

/**
 * A record that a restore can aim at, or that says something about the way. `lsn` is where it begins, `endLsn` where the next one may; `span`
 * is from its first byte to its last.
 */
export type WalLandmark = { readonly lsn: bigint; readonly endLsn: bigint; readonly span: number } & (
  | { readonly kind: 'transaction'; readonly transaction: TransactionEnd }
  | { readonly kind: 'prepared'; readonly prepared: PreparedTransaction }
  | { readonly kind: 'event'; readonly event: XlogEvent }
  | { readonly kind: 'storage'; readonly storage: StorageEvent }
);

/** A commit or abort with its place. */
export type TransactionLandmark = Extract<WalLandmark, { kind: 'transaction' }>;

/** The landmark that a record is, null for most. Errors: PG_WAL_RECORD_INVALID. */
export function landmarkOf(record: WalRecord): WalLandmark | null {
  if (!isLandmarkManager(record.resourceManager)) return null;
  const transaction = parseTransactionEnd(record);
  if (transaction !== null) return { kind: 'transaction', ...placeOf(record), transaction };
  const prepared = parsePreparedTransaction(record);
  if (prepared !== null) return { kind: 'prepared', ...placeOf(record), prepared };
  const event = parseXlogEvent(record);
  if (event !== null) return { kind: 'event', ...placeOf(record), event };
  const storage = parseStorageEvent(record);
  return storage === null ? null : { kind: 'storage', ...placeOf(record), storage };
}

/** True for the resource managers that have landmarks at all: the records of all others need not be looked at. */
export function isLandmarkManager(resourceManager: number): boolean {
  return (
    resourceManager === ResourceManager.xlog ||
    resourceManager === ResourceManager.transaction ||
    resourceManager === ResourceManager.database ||
    resourceManager === ResourceManager.tablespace
  );
}

function placeOf({ lsn, endLsn, span }: WalRecord): { lsn: bigint; endLsn: bigint; span: number } {
  return { lsn, endLsn, span };
}
