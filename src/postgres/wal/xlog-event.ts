import { HoldfastError } from '../../lib/index.ts';
import { type Timestamp, timestampFromMilliseconds, timestampFromServer } from '../timestamp.ts';
import { ResourceManager, type WalRecord } from './record.ts';

/** Settings that the server had from here on; one that replays this WAL for reading must not have them lower. */
export interface RequiredSettings {
  readonly maxConnections: number;
  readonly maxWorkerProcesses: number;
  readonly maxWalSenders: number;
  readonly maxPreparedTransactions: number;
  readonly maxLocksPerTransaction: number;
}

/** Records of the WAL itself that a restore or an index of the WAL looks at. */
export type XlogEvent =
  /** Replay from this checkpoint begins at `redoLsn`; it was begun at `at`, by the server's clock, in whole seconds. */
  | {
      readonly kind: 'checkpoint';
      readonly isShutdown: boolean;
      readonly redoLsn: bigint;
      readonly timeline: number;
      /** The next transaction's number with its epoch in the upper half, so that numbers of 32 bits can be told apart. */
      readonly nextXid: bigint;
      readonly at: Timestamp;
    }
  | { readonly kind: 'restore-point'; readonly name: string; readonly at: Timestamp }
  /** The server was promoted, or ended a recovery: WAL goes on as `timeline`. */
  | {
      readonly kind: 'end-of-recovery';
      readonly timeline: number;
      readonly previousTimeline: number;
      readonly at: Timestamp;
    }
  /** An online backup that began at `startLsn` is consistent from here on. */
  | { readonly kind: 'backup-end'; readonly startLsn: bigint }
  | { readonly kind: 'parameter-change'; readonly settings: RequiredSettings; readonly walLevel: number }
  /** The rest of the segment is empty. */
  | { readonly kind: 'switch' };

const INFO_MASK = 0xf0;
const CHECKPOINT_SHUTDOWN = 0x00;
const CHECKPOINT_ONLINE = 0x10;
const SWITCH = 0x40;
const BACKUP_END = 0x50;
const PARAMETER_CHANGE = 0x60;
const RESTORE_POINT = 0x70;
const END_OF_RECOVERY = 0x90;

/** The shortest main data of each kind that is read. */
const BYTES_MIN: Readonly<Record<number, number>> = {
  [CHECKPOINT_SHUTDOWN]: 72,
  [CHECKPOINT_ONLINE]: 72,
  [SWITCH]: 0,
  [BACKUP_END]: 8,
  [PARAMETER_CHANGE]: 24,
  [RESTORE_POINT]: 9,
  [END_OF_RECOVERY]: 16,
};

/**
 * Reads a record of the resource manager `xlog`; null for any other record and for kinds that nobody here asks for.
 * Errors: PG_WAL_RECORD_INVALID.
 * Source: PostgreSQL, pg_control.h (the kinds, struct CheckPoint), xlog_internal.h (xl_restore_point and others).
 */
export function parseXlogEvent(record: WalRecord): XlogEvent | null {
  if (record.resourceManager !== ResourceManager.xlog) return null;
  const kind = record.info & INFO_MASK;
  const bytesMin = BYTES_MIN[kind];
  if (bytesMin === undefined) return null;
  const data = record.mainData();
  if (data.length < bytesMin) {
    throw new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', {
      detail: `Expected at least ${bytesMin} bytes of data, found ${data.length}.`,
    });
  }
  switch (kind) {
    case CHECKPOINT_SHUTDOWN:
    case CHECKPOINT_ONLINE:
      return {
        kind: 'checkpoint',
        isShutdown: kind === CHECKPOINT_SHUTDOWN,
        redoLsn: data.readBigUInt64LE(0),
        timeline: data.readUInt32LE(8),
        nextXid: data.readBigUInt64LE(24),
        at: timestampFromMilliseconds(Number(data.readBigInt64LE(64)) * 1000),
      };
    case BACKUP_END:
      return { kind: 'backup-end', startLsn: data.readBigUInt64LE(0) };
    case PARAMETER_CHANGE:
      return {
        kind: 'parameter-change',
        settings: {
          maxConnections: data.readInt32LE(0),
          maxWorkerProcesses: data.readInt32LE(4),
          maxWalSenders: data.readInt32LE(8),
          maxPreparedTransactions: data.readInt32LE(12),
          maxLocksPerTransaction: data.readInt32LE(16),
        },
        walLevel: data.readInt32LE(20),
      };
    case RESTORE_POINT:
      return {
        kind: 'restore-point',
        at: timestampFromServer(data.readBigInt64LE(0)),
        name: readName(data.subarray(8)),
      };
    case END_OF_RECOVERY:
      return {
        kind: 'end-of-recovery',
        at: timestampFromServer(data.readBigInt64LE(0)),
        timeline: data.readUInt32LE(8),
        previousTimeline: data.readUInt32LE(12),
      };
    default:
      return { kind: 'switch' };
  }
}

function readName(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
