const EPOCH = 1n << 32n;
const HALF_EPOCH = 1n << 31n;

/**
 * The number of a transaction with its epoch, from the 32 bits that stand in WAL and rows, by a full number of about the same time: the two are
 * never more than two billion apart, as the server stops before.
 */
export function fullXidNear(xid: number, near: bigint): bigint {
  const candidate = near - (near % EPOCH) + BigInt(xid);
  if (candidate > near + HALF_EPOCH && candidate >= EPOCH) return candidate - EPOCH;
  return candidate + HALF_EPOCH < near ? candidate + EPOCH : candidate;
}
