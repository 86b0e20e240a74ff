import { HoldfastError } from '../../lib/index.ts';
import { type Timestamp, timestampFromServer, timestampToServer } from '../timestamp.ts';

/** A piece of WAL as it came. `data` is a view into the receive buffer. */
export interface WalMessage {
  readonly startLsn: bigint;
  /** How far WAL was flushed on the server when this was sent. */
  readonly serverEndLsn: bigint;
  readonly sentAt: Timestamp;
  readonly data: Buffer;
}

/** The server's sign of life. */
export interface Keepalive {
  readonly serverEndLsn: bigint;
  readonly sentAt: Timestamp;
  readonly replyRequested: boolean;
}

/** How far we are. `flush` promises that everything before it survives a crash here: a commit may be waiting for it. */
export interface StandbyStatus {
  readonly write: bigint;
  readonly flush: bigint;
  /** Asks the server to answer at once with a keepalive. */
  readonly replyRequested?: boolean;
}

export const XLOG_DATA = 0x77; // w
export const KEEPALIVE = 0x6b; // k
const XLOG_DATA_HEADER_BYTES = 25;
const KEEPALIVE_BYTES = 18;
const STATUS_BYTES = 34;

/**
 * Reads one XLogData message of the streaming replication protocol.
 *
 * Shape:  'w' · int64 start LSN · int64 server end LSN · int64 sent (µs since 2000-01-01 UTC) · WAL bytes.
 * Errors: PG_MESSAGE_TRUNCATED when fewer than 25 bytes are given.
 * Source: PostgreSQL manual, "Streaming Replication Protocol", START_REPLICATION.
 */
export function parseWalMessage(payload: Buffer): WalMessage {
  checkLength(payload, XLOG_DATA_HEADER_BYTES, 'XLogData');
  return {
    startLsn: payload.readBigUInt64BE(1),
    serverEndLsn: payload.readBigUInt64BE(9),
    sentAt: timestampFromServer(payload.readBigInt64BE(17)),
    data: payload.subarray(XLOG_DATA_HEADER_BYTES),
  };
}

/**
 * Reads one primary keepalive message.
 *
 * Shape:  'k' · int64 server end LSN · int64 sent (µs since 2000-01-01 UTC) · byte 1 when an answer is wanted.
 * Errors: PG_MESSAGE_TRUNCATED when fewer than 18 bytes are given.
 */
export function parseKeepalive(payload: Buffer): Keepalive {
  checkLength(payload, KEEPALIVE_BYTES, 'keepalive');
  return {
    serverEndLsn: payload.readBigUInt64BE(1),
    sentAt: timestampFromServer(payload.readBigInt64BE(9)),
    replyRequested: payload[17] !== 0,
  };
}

/**
 * Writes a standby status update.
 *
 * Shape: 'r' · int64 written · int64 flushed · int64 applied · int64 now (µs since 2000-01-01 UTC) · byte 1 asks for an answer.
 *        Applied stays 0, "not known", as we apply nothing.
 */
export function formatStatusUpdate(status: StandbyStatus, now: Timestamp): Buffer {
  const message = Buffer.alloc(STATUS_BYTES);
  message.write('r', 0, 'latin1');
  message.writeBigUInt64BE(status.write, 1);
  message.writeBigUInt64BE(status.flush, 9);
  message.writeBigInt64BE(timestampToServer(now), 25);
  message.writeUInt8(status.replyRequested ? 1 : 0, 33);
  return message;
}

function checkLength(payload: Buffer, expected: number, what: string): void {
  if (payload.length >= expected) return;
  throw new HoldfastError('PG_MESSAGE_TRUNCATED', `message "${what}" ends too early`, {
    detail: `Expected at least ${expected} bytes, found ${payload.length}.`,
  });
}
