import { readFile, stat } from 'node:fs/promises';
import { crc32c } from '@node-rs/crc32';
import { HoldfastError, messageOf } from '../lib/index.ts';
import { type Timestamp, timestampFromMilliseconds } from './timestamp.ts';

/** In the order of the server's own numbering. */
const STATES = [
  'starting-up',
  'shut-down',
  'shut-down-in-recovery',
  'shutting-down',
  'in-crash-recovery',
  'in-archive-recovery',
  'in-production',
] as const;

export type ClusterState = (typeof STATES)[number];

const WAL_LEVELS = ['minimal', 'replica', 'logical'] as const;

/** What `pg_control` tells of a cluster. */
export interface ControlFile {
  readonly systemId: string;
  /** The layout: 1300 for PostgreSQL 13 to 16, 1700 for 17, 1800 for 18. */
  readonly controlVersion: number;
  /** Tells the major version: it is raised with each. */
  readonly catalogVersion: number;
  readonly state: ClusterState;
  /** When the file was written last. */
  readonly writtenAt: Timestamp;
  readonly checkpointLsn: bigint;
  /** Where replay after that checkpoint begins. */
  readonly redoLsn: bigint;
  readonly timeline: number;
  readonly previousTimeline: number;
  readonly checkpointAt: Timestamp;
  /** Recovery must come at least as far as this before the data is consistent; 0 when there is no such point. */
  readonly minRecoveryLsn: bigint;
  readonly minRecoveryTimeline: number;
  readonly backupStartLsn: bigint;
  readonly backupEndLsn: bigint;
  readonly backupEndRequired: boolean;
  readonly walLevel: (typeof WAL_LEVELS)[number];
  readonly walLogHints: boolean;
  /** Settings that a server which replays this cluster's WAL must not have lower, if it is to be read meanwhile. */
  readonly maxConnections: number;
  readonly maxWorkerProcesses: number;
  readonly maxWalSenders: number;
  readonly maxPreparedTransactions: number;
  readonly maxLocksPerTransaction: number;
  readonly blockSize: number;
  readonly blocksPerFileSegment: number;
  readonly walBlockSize: number;
  readonly walSegmentSize: number;
  /** 0 without data checksums, 1 with. */
  readonly dataChecksumVersion: number;
}

/** Bytes of the file that may mean something; the rest of its 8 KiB is zero. */
const CONTROL_FILE_BYTES_MIN = 296;

/**
 * Where the CRC lies, by layout. 17 put the WAL level into a hole of the checkpoint, which moved nothing; 18 has one more
 * flag at the end.
 */
const CRC_OFFSETS: Readonly<Record<number, number>> = { 1300: 288, 1700: 288, 1800: 292 };

/** The file is rewritten in place: a reader that meets the server at it may see half of it, and looks again. */
const READ_ATTEMPTS_MAX = 10;

/**
 * Reads and checks the bytes of `global/pg_control` as PostgreSQL 14 to 18 write it on little-endian machines with 64 bits.
 *
 * Shape:  C struct ControlFileData with its padding, ended by a CRC-32C of all before it.
 * Errors: PG_CONTROL_FILE_INVALID (length, CRC, a value), PG_CONTROL_FILE_UNSUPPORTED (layout).
 * Source: PostgreSQL, src/include/catalog/pg_control.h.
 */
export function parseControlFile(bytes: Uint8Array): ControlFile {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < CONTROL_FILE_BYTES_MIN) {
    throw invalid(`Expected at least ${CONTROL_FILE_BYTES_MIN} bytes, found ${file.length}.`);
  }
  const controlVersion = file.readUInt32LE(8);
  const crcOffset = CRC_OFFSETS[controlVersion];
  if (crcOffset === undefined) {
    throw new HoldfastError('PG_CONTROL_FILE_UNSUPPORTED', 'cannot read this version of pg_control', {
      detail: `Expected one of the layouts ${Object.keys(CRC_OFFSETS).join(', ')}, found ${controlVersion}.`,
      hints: ['Check that the cluster is one of PostgreSQL 14 to 18, and its machine little-endian.'],
    });
  }
  const stated = file.readUInt32LE(crcOffset);
  const found = crc32c(file.subarray(0, crcOffset));
  if (stated !== found) throw invalid(`Expected CRC ${hex(stated)} as the file says, found ${hex(found)}.`);
  return {
    systemId: file.readBigUInt64LE(0).toString(),
    controlVersion,
    catalogVersion: file.readUInt32LE(12),
    state: choice(STATES, file.readUInt32LE(16), 'state'),
    writtenAt: fromUnixSeconds(file.readBigInt64LE(24)),
    checkpointLsn: file.readBigUInt64LE(32),
    redoLsn: file.readBigUInt64LE(40),
    timeline: file.readUInt32LE(48),
    previousTimeline: file.readUInt32LE(52),
    checkpointAt: fromUnixSeconds(file.readBigInt64LE(104)),
    minRecoveryLsn: file.readBigUInt64LE(136),
    minRecoveryTimeline: file.readUInt32LE(144),
    backupStartLsn: file.readBigUInt64LE(152),
    backupEndLsn: file.readBigUInt64LE(160),
    backupEndRequired: file[168] !== 0,
    walLevel: choice(WAL_LEVELS, file.readUInt32LE(172), 'wal_level'),
    walLogHints: file[176] !== 0,
    maxConnections: file.readInt32LE(180),
    maxWorkerProcesses: file.readInt32LE(184),
    maxWalSenders: file.readInt32LE(188),
    maxPreparedTransactions: file.readInt32LE(192),
    maxLocksPerTransaction: file.readInt32LE(196),
    blockSize: file.readUInt32LE(216),
    blocksPerFileSegment: file.readUInt32LE(220),
    walBlockSize: file.readUInt32LE(224),
    walSegmentSize: file.readUInt32LE(228),
    dataChecksumVersion: file.readUInt32LE(252),
  };
}

/** `global/pg_control` as it lies on the disk. */
export interface ControlFileBytes {
  readonly bytes: Buffer;
  readonly control: ControlFile;
  readonly mode: number;
  readonly mtimeMs: number;
}

/**
 * Reads `global/pg_control` of a data directory, also of one whose server runs.
 * Errors: those of `parseControlFile`; PG_CONTROL_FILE_UNREADABLE.
 */
export async function readControlFile(dataDirectory: string): Promise<ControlFile> {
  return (await readControlFileBytes(dataDirectory)).control;
}

/** The same with the bytes, which have a right CRC. Errors: as those of `readControlFile`. */
export async function readControlFileBytes(dataDirectory: string): Promise<ControlFileBytes> {
  const path = `${dataDirectory}/global/pg_control`;
  for (let attempt = 1; ; attempt++) {
    let found: Omit<ControlFileBytes, 'control'>;
    try {
      const [bytes, { mode, mtimeMs }] = await Promise.all([readFile(path), stat(path)]);
      found = { bytes, mode: mode & 0o7777, mtimeMs };
    } catch (error) {
      throw new HoldfastError('PG_CONTROL_FILE_UNREADABLE', `could not read "${path}"`, {
        detail: `The system said: ${messageOf(error)}.`,
        cause: error,
      });
    }
    try {
      return { ...found, control: parseControlFile(found.bytes) };
    } catch (error) {
      if (attempt === READ_ATTEMPTS_MAX) throw error;
    }
  }
}

function fromUnixSeconds(seconds: bigint): Timestamp {
  return timestampFromMilliseconds(Number(seconds) * 1000);
}

function choice<Value>(values: readonly Value[], index: number, what: string): Value {
  const value = values[index];
  if (value === undefined) throw invalid(`The ${what} ${index} is not recognized.`);
  return value;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

function invalid(detail: string): HoldfastError {
  return new HoldfastError('PG_CONTROL_FILE_INVALID', 'invalid pg_control', { detail });
}
