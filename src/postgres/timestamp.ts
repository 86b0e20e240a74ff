/**
 * A moment as PostgreSQL keeps it, to the microsecond: microseconds since 1970-01-01 UTC, as `bigint`.
 * (The server itself counts from 2000-01-01; the reader of each message or record converts at once.)
 */
export type Timestamp = bigint;

/** Microseconds between 1970-01-01, where Unix counts from, and 2000-01-01, where PostgreSQL counts from. */
const POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000n;

/** From the server's own count, microseconds since 2000-01-01 UTC. */
export function timestampFromServer(microsecondsSince2000: bigint): Timestamp {
  return microsecondsSince2000 + POSTGRES_EPOCH_MICROSECONDS;
}

/** To the server's own count, microseconds since 2000-01-01 UTC. */
export function timestampToServer(timestamp: Timestamp): bigint {
  return timestamp - POSTGRES_EPOCH_MICROSECONDS;
}

/** From milliseconds since 1970, as `Clock.now` gives them. */
export function timestampFromMilliseconds(milliseconds: number): Timestamp {
  return BigInt(Math.floor(milliseconds * 1000));
}

/** To whole milliseconds since 1970, rounded down. */
export function timestampToMilliseconds(timestamp: Timestamp): number {
  return Number(floorDivide(timestamp, 1000n));
}

/** ISO 8601 with six digits of a second and `Z`, for example 2026-11-23T09:01:02.123456Z. */
export function formatTimestamp(timestamp: Timestamp): string {
  const milliseconds = floorDivide(timestamp, 1000n);
  const microseconds = timestamp - milliseconds * 1000n;
  return new Date(Number(milliseconds)).toISOString().replace('Z', `${microseconds.toString().padStart(3, '0')}Z`);
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}
