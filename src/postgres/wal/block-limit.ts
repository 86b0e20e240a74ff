import { HoldfastError } from '../../lib/index.ts';
import { Fork } from './block-references.ts';
import { ResourceManager, type WalRecord } from './record.ts';
import { mayRemoveFiles, parseTransactionEnd } from './transaction.ts';

/**
 * Says that a fork was made, removed or cut: nothing that stood at block `limit` or behind it is there any more. Relation 0 stands for every
 * relation of a database in a tablespace.
 */
export interface BlockLimit {
  readonly tablespaceOid: number;
  readonly databaseOid: number;
  readonly relationNumber: number;
  readonly fork: number;
  readonly limit: number;
}

const INFO_MASK = 0xf0;
const STORAGE_CREATE = 0x10;
const STORAGE_TRUNCATE = 0x20;
const TRUNCATE_HEAP = 1;
const TRUNCATE_VISIBILITY_MAP = 2;
const DATABASE_CREATE = 0x00;
/** Version 15 put a second way to create a database before the number of dropping one. */
const DATABASE_DROP_14 = 0x10;
const DATABASE_CREATE_LOGGED_15 = 0x10;
const DATABASE_DROP_15 = 0x20;
/** A page of a visibility map has two bits for each page of the table, behind a header of 24 bytes. */
const HEAP_BLOCKS_PER_MAP_BLOCK = (8192 - 24) * 4;

/** Forks of which WAL tells all: all but the free space map. */
const LOGGED_FORKS = [Fork.main, Fork.visibilityMap, Fork.init] as const;

/**
 * What a record makes, removes or cuts; empty for most.
 *
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, walsummarizer.c, SummarizeSmgrRecord, SummarizeDbaseRecord, SummarizeXactRecord; storage_xlog.h, dbcommands_xlog.h.
 */
export function blockLimitsOf(record: WalRecord): readonly BlockLimit[] {
  switch (record.resourceManager) {
    case ResourceManager.storage:
      return limitsOfStorage(record);
    case ResourceManager.database:
      return limitsOfDatabase(record);
    case ResourceManager.transaction:
      return mayRemoveFiles(record) ? limitsOfTransaction(record) : NONE;
    default:
      return NONE;
  }
}

const NONE: readonly BlockLimit[] = [];

/** Shape: create: relation (12) · int32 fork. Truncate: uint32 blocks · relation (12) · int32 flags. */
function limitsOfStorage(record: WalRecord): BlockLimit[] {
  const kind = record.info & INFO_MASK;
  if (kind === STORAGE_CREATE) {
    const data = dataOf(record, 16);
    const fork = data.readInt32LE(12);
    return fork === Fork.freeSpaceMap ? [] : [{ ...relationAt(data, 0), fork, limit: 0 }];
  }
  if (kind !== STORAGE_TRUNCATE) return [];
  const data = dataOf(record, 20);
  const limit = data.readUInt32LE(0);
  const flags = data.readInt32LE(16);
  const relation = relationAt(data, 4);
  const limits: BlockLimit[] = [];
  if ((flags & TRUNCATE_HEAP) !== 0) limits.push({ ...relation, fork: Fork.main, limit });
  if ((flags & TRUNCATE_VISIBILITY_MAP) !== 0) {
    // The map keeps the page in which the bits of the first block that is gone would stand, unless that is the page's first.
    const ofMap = Math.ceil(limit / HEAP_BLOCKS_PER_MAP_BLOCK);
    limits.push({ ...relation, fork: Fork.visibilityMap, limit: ofMap });
  }
  return limits;
}

/** Shape: create: database · tablespace · … . Drop: database · int32 count · tablespaces. */
function limitsOfDatabase(record: WalRecord): BlockLimit[] {
  const kind = record.info & INFO_MASK;
  const isOld = record.major === 14;
  const data = dataOf(record, 8);
  const databaseOid = data.readUInt32LE(0);
  const ofTablespace = (at: number): BlockLimit => ({
    ...{ tablespaceOid: data.readUInt32LE(at), databaseOid, relationNumber: 0 },
    ...{ fork: Fork.main, limit: 0 },
  });
  if (kind === (isOld ? DATABASE_DROP_14 : DATABASE_DROP_15)) {
    const count = data.readInt32LE(4);
    if (count < 0 || data.length < 8 + count * 4) throw tooShort(data.length);
    return Array.from({ length: count }, (_, i) => ofTablespace(8 + i * 4));
  }
  if (kind !== DATABASE_CREATE && (isOld || kind !== DATABASE_CREATE_LOGGED_15)) return [];
  return [ofTablespace(4)];
}

function limitsOfTransaction(record: WalRecord): BlockLimit[] {
  const removed = parseTransactionEnd(record)?.removedFiles ?? [];
  return removed.flatMap((file) => LOGGED_FORKS.map((fork) => ({ ...file, fork, limit: 0 })));
}

function relationAt(data: Buffer, at: number): Omit<BlockLimit, 'fork' | 'limit'> {
  return {
    tablespaceOid: data.readUInt32LE(at),
    databaseOid: data.readUInt32LE(at + 4),
    relationNumber: data.readUInt32LE(at + 8),
  };
}

function dataOf(record: WalRecord, bytesMin: number): Buffer {
  const data = record.mainData();
  if (data.length >= bytesMin) return data;
  throw tooShort(data.length);
}

function tooShort(found: number): HoldfastError {
  return new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', {
    detail: `A record about files ends too early, at ${found} bytes of data.`,
  });
}
