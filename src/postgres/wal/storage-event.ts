import { HoldfastError } from '../../lib/index.ts';
import { ResourceManager, type WalRecord } from './record.ts';

/** Databases and tablespaces that come and go: the only records that name where a cluster keeps its files. */
export type StorageEvent =
  | { readonly kind: 'database-created'; readonly databaseOid: number; readonly tablespaceOid: number }
  | { readonly kind: 'database-dropped'; readonly databaseOid: number }
  | { readonly kind: 'tablespace-created'; readonly tablespaceOid: number; readonly path: string }
  | { readonly kind: 'tablespace-dropped'; readonly tablespaceOid: number };

const INFO_MASK = 0xf0;
const DATABASE_CREATE = 0x00;
/** Version 15 put a second way to create a database before the number of dropping one. */
const DATABASE_DROP_14 = 0x10;
const DATABASE_CREATE_LOGGED_15 = 0x10;
const DATABASE_DROP_15 = 0x20;
const TABLESPACE_CREATE = 0x00;
const TABLESPACE_DROP = 0x10;

/**
 * Reads a record about databases and tablespaces themselves; null for any other record.
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, dbcommands_xlog.h, tablespace.h.
 */
export function parseStorageEvent(record: WalRecord): StorageEvent | null {
  const kind = record.info & INFO_MASK;
  if (record.resourceManager === ResourceManager.tablespace) return parseTablespaceEvent(record, kind);
  if (record.resourceManager !== ResourceManager.database) return null;
  const isOld = record.major === 14;
  if (kind === (isOld ? DATABASE_DROP_14 : DATABASE_DROP_15)) {
    return { kind: 'database-dropped', databaseOid: dataOf(record, 4).readUInt32LE(0) };
  }
  if (kind !== DATABASE_CREATE && (isOld || kind !== DATABASE_CREATE_LOGGED_15)) return null;
  const data = dataOf(record, 8);
  return { kind: 'database-created', databaseOid: data.readUInt32LE(0), tablespaceOid: data.readUInt32LE(4) };
}

function parseTablespaceEvent(record: WalRecord, kind: number): StorageEvent | null {
  if (kind !== TABLESPACE_CREATE && kind !== TABLESPACE_DROP) return null;
  const data = dataOf(record, 4);
  const tablespaceOid = data.readUInt32LE(0);
  if (kind === TABLESPACE_DROP) return { kind: 'tablespace-dropped', tablespaceOid };
  const end = data.indexOf(0, 4);
  return { kind: 'tablespace-created', tablespaceOid, path: data.toString('utf8', 4, end < 0 ? data.length : end) };
}

function dataOf(record: WalRecord, bytesMin: number): Buffer {
  const data = record.mainData();
  if (data.length >= bytesMin) return data;
  throw new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', {
    detail: `Expected at least ${bytesMin} bytes of data, found ${data.length}.`,
  });
}
