import { HoldfastError } from '../../lib/index.ts';
import { type Timestamp, timestampFromServer } from '../timestamp.ts';
import { ResourceManager, type WalRecord } from './record.ts';

/** A relation's files on disk, by the numbers in their paths. */
export interface RelationFile {
  readonly tablespaceOid: number;
  readonly databaseOid: number;
  readonly relationNumber: number;
}

/** A relation by its OIDs, as a message of invalidation names it. */
export interface InvalidatedRelation {
  /** 0 for a relation that all databases share. */
  readonly databaseOid: number;
  readonly relationOid: number;
}

/** How a transaction ended, as its commit or abort record tells it. */
export interface TransactionEnd {
  readonly outcome: 'commit' | 'abort';
  /** True for the second phase of a prepared transaction (COMMIT PREPARED, ROLLBACK PREPARED). */
  readonly wasPrepared: boolean;
  /** The transaction that ended; of a prepared one, the one that was prepared. */
  readonly xid: number;
  readonly at: Timestamp;
  /** In which database; null when the record does not say: it does for what changed relations, and with `wal_level = logical`. */
  readonly databaseOid: number | null;
  /** Subtransactions that ended with it. */
  readonly subtransactions: number;
  readonly subtransactionXids: readonly number[];
  /** Relation files that are removed with the commit (or, created before, with the abort): dropped, truncated, rewritten. */
  readonly removedFiles: readonly RelationFile[];
  /** Relations whose description changed, each once; in the order of the record. Only commits have them. */
  readonly invalidatedRelations: readonly InvalidatedRelation[];
}

const OPERATION_MASK = 0x70;
const COMMIT = 0x00;
const ABORT = 0x20;
const COMMIT_PREPARED = 0x30;
const ABORT_PREPARED = 0x40;
/** A flag of `info`: behind the time stands a word with flags for what follows. */
const HAS_INFO = 0x80;

const HAS_DATABASE = 1 << 0;
const HAS_SUBTRANSACTIONS = 1 << 1;
const HAS_RELATION_FILES = 1 << 2;
const HAS_INVALIDATIONS = 1 << 3;
const HAS_TWO_PHASE = 1 << 4;
const HAS_DROPPED_STATISTICS = 1 << 8;

const RELATION_FILE_BYTES = 12;
const INVALIDATION_BYTES = 16;
/** The first byte of an invalidation, as a signed one, when it is about a relation's description. */
const INVALIDATION_OF_RELATION = -2;

/** An entry of the statistics that are dropped grew by four bytes with version 18. */
const DROPPED_STATISTIC_BYTES = 12;
const DROPPED_STATISTIC_BYTES_18 = 16;

/**
 * Reads a commit or abort record, plain or of a prepared transaction; null for any other record.
 *
 * Shape:  int64 time (µs since 2000-01-01 UTC) · with HAS_INFO: uint32 flags, then by flag: database and tablespace ·
 *         count and xids of subtransactions · count and relation files · count and dropped statistics (15 and later) · for
 *         commits count and invalidations · xid of the prepared transaction · …
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, xactdesc.c, ParseCommitRecord and ParseAbortRecord.
 */
export function parseTransactionEnd(record: WalRecord): TransactionEnd | null {
  if (record.resourceManager !== ResourceManager.transaction) return null;
  const operation = record.info & OPERATION_MASK;
  const isCommit = operation === COMMIT || operation === COMMIT_PREPARED;
  if (!isCommit && operation !== ABORT && operation !== ABORT_PREPARED) return null;
  const fields = new Fields(record.mainData());
  const at = timestampFromServer(fields.int64());
  const flags = (record.info & HAS_INFO) === 0 ? 0 : fields.uint32();
  const databaseOid = (flags & HAS_DATABASE) === 0 ? null : readDatabase(fields);
  const subtransactionXids = (flags & HAS_SUBTRANSACTIONS) === 0 ? [] : fields.uint32List();
  const removedFiles = (flags & HAS_RELATION_FILES) === 0 ? [] : readRelationFiles(fields);
  if ((flags & HAS_DROPPED_STATISTICS) !== 0) {
    fields.skipList((record.major ?? 18) >= 18 ? DROPPED_STATISTIC_BYTES_18 : DROPPED_STATISTIC_BYTES);
  }
  const invalidatedRelations = isCommit && (flags & HAS_INVALIDATIONS) !== 0 ? readInvalidations(fields) : [];
  const preparedXid = (flags & HAS_TWO_PHASE) === 0 ? 0 : fields.uint32();
  const wasPrepared = operation === COMMIT_PREPARED || operation === ABORT_PREPARED;
  return {
    outcome: isCommit ? 'commit' : 'abort',
    wasPrepared,
    xid: wasPrepared ? preparedXid : record.xid,
    at,
    databaseOid,
    subtransactions: subtransactionXids.length,
    subtransactionXids,
    removedFiles,
    invalidatedRelations,
  };
}

/** Where the flags of a record's contents stand: behind its header, the mark and length of its data, and eight bytes of time. */
const FLAGS_AT_SHORT = 34;
const FLAGS_AT_LONG = 37;
const DATA_SHORT = 255;
const DATA_LONG = 254;

/**
 * False when the record of a transaction's end certainly removes no files. It looks at a few bytes only, as a server may write tens of thousands
 * of them into each segment. `record` is of the resource manager `transaction`.
 */
export function mayRemoveFiles(record: WalRecord): boolean {
  if ((record.info & HAS_INFO) === 0) return false;
  const { bytes } = record;
  const mark = bytes[24];
  const at = mark === DATA_SHORT ? FLAGS_AT_SHORT : mark === DATA_LONG ? FLAGS_AT_LONG : null;
  if (at === null || at + 4 > bytes.length) return true;
  return (bytes.readUInt32LE(at) & HAS_RELATION_FILES) !== 0;
}

/** A database of OID 0 is none: a transaction of a process that is connected to none. */
function readDatabase(fields: Fields): number | null {
  const databaseOid = fields.uint32();
  fields.skip(4);
  return databaseOid === 0 ? null : databaseOid;
}

/**
 * Shape:  int8 what it is about · 3 bytes padding · uint32 database · uint32 relation · 4 bytes, for those about a relation.
 * Source: PostgreSQL, sinval.h, SharedInvalRelcacheMsg.
 */
function readInvalidations(fields: Fields): InvalidatedRelation[] {
  const found = new Map<string, InvalidatedRelation>();
  for (let left = fields.count(INVALIDATION_BYTES); left > 0; left--) {
    const about = fields.int8();
    fields.skip(3);
    const [databaseOid, relationOid] = [fields.uint32(), fields.uint32()];
    fields.skip(4);
    // Relation 0 stands for all of them, which tells nothing of any.
    if (about !== INVALIDATION_OF_RELATION || relationOid === 0) continue;
    found.set(`${databaseOid}/${relationOid}`, { databaseOid, relationOid });
  }
  return [...found.values()];
}

function readRelationFiles(fields: Fields): RelationFile[] {
  const count = fields.count(RELATION_FILE_BYTES);
  return Array.from({ length: count }, () => ({
    tablespaceOid: fields.uint32(),
    databaseOid: fields.uint32(),
    relationNumber: fields.uint32(),
  }));
}

/** Little-endian fields one behind the other; none may run past the end. */
class Fields {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  skip(bytes: number): number {
    if (bytes > this.#data.length - this.#at) {
      throw new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', {
        detail: `A commit or abort record ends too early, at ${this.#data.length} bytes of data.`,
      });
    }
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  uint32(): number {
    return this.#data.readUInt32LE(this.skip(4));
  }

  int8(): number {
    return this.#data.readInt8(this.skip(1));
  }

  int64(): bigint {
    return this.#data.readBigInt64LE(this.skip(8));
  }

  /** The count of a list whose entries, of so many bytes each, are all there. */
  count(entryBytes: number): number {
    const count = this.uint32();
    this.skip(count * entryBytes);
    this.#at -= count * entryBytes;
    return count;
  }

  uint32List(): number[] {
    return Array.from({ length: this.count(4) }, () => this.uint32());
  }

  skipList(entryBytes: number): number {
    const count = this.count(entryBytes);
    this.skip(count * entryBytes);
    return count;
  }
}
