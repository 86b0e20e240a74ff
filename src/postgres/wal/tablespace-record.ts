import { RESOURCE_MANAGER_CUSTOM_MIN, ResourceManager, type WalRecord } from './record.ts';

/** A tablespace that the server made, and that a server which replays the record makes again at the same place. */
export interface TablespaceCreation {
  readonly oid: number;
  /** Absolute; empty for one that lies in the data directory itself. */
  readonly path: string;
}

const INFO_MASK = 0xf0;
const CREATE = 0x00;
const OID_BYTES = 4;

/**
 * Reads the record of a CREATE TABLESPACE; null for any other.
 *
 * Shape:  uint32 OID · the path, ended by a zero byte.
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, commands/tablespace.h, struct xl_tblspc_create_rec.
 */
export function parseTablespaceCreation(record: WalRecord): TablespaceCreation | null {
  if (record.resourceManager !== ResourceManager.tablespace || (record.info & INFO_MASK) !== CREATE) return null;
  const data = record.mainData();
  const end = data.indexOf(0, OID_BYTES);
  return { oid: data.readUInt32LE(0), path: data.toString('utf8', OID_BYTES, end < 0 ? data.length : end) };
}

/** Whether a record belongs to a library that the server must have loaded to replay it. Source: PostgreSQL, access/rmgr.h. */
export function isOfExtension(record: WalRecord): boolean {
  return record.resourceManager >= RESOURCE_MANAGER_CUSTOM_MIN;
}
