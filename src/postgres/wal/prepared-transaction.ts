import { HoldfastError } from '../../lib/index.ts';
import { type Timestamp, timestampFromServer } from '../timestamp.ts';
import { ResourceManager, type WalRecord } from './record.ts';

/** The first phase of a two-phase commit (PREPARE TRANSACTION): done, and neither committed nor rolled back. */
export interface PreparedTransaction {
  readonly xid: number;
  /** The name under which a person or a transaction manager ends it. */
  readonly name: string;
  readonly databaseOid: number;
  readonly at: Timestamp;
}

const OPERATION_MASK = 0x70;
const PREPARE = 0x10;

/** Where the head ends, behind which the name stands, and where the name's length stands in it; version 15 added statistics. */
const HEAD_14 = { bytes: 64, nameLengthAt: 46 };
const HEAD_15 = { bytes: 72, nameLengthAt: 54 };

/**
 * Reads the record of a PREPARE TRANSACTION; null for any other record.
 *
 * Shape:  uint32 magic · uint32 length · uint32 xid · uint32 database · int64 time (µs since 2000-01-01 UTC) · uint32 owner · counts of what
 *         follows · uint16 length of the name · … · the name with a zero at its end · …
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, xact.h, xl_xact_prepare; twophase.c, EndPrepare.
 */
export function parsePreparedTransaction(record: WalRecord): PreparedTransaction | null {
  if (record.resourceManager !== ResourceManager.transaction || (record.info & OPERATION_MASK) !== PREPARE) return null;
  const data = record.mainData();
  const head = record.major === 14 ? HEAD_14 : HEAD_15;
  const nameLength = data.length < head.bytes ? Number.NaN : data.readUInt16LE(head.nameLengthAt);
  if (!(data.length >= head.bytes + nameLength && nameLength > 0)) {
    throw new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', {
      detail: `The record of a prepared transaction ends too early, at ${data.length} bytes of data.`,
    });
  }
  return {
    xid: data.readUInt32LE(8),
    name: data.toString('utf8', head.bytes, head.bytes + nameLength - 1),
    databaseOid: data.readUInt32LE(12),
    at: timestampFromServer(data.readBigInt64LE(16)),
  };
}
