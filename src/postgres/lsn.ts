import { HoldfastError } from '../lib/index.ts';

/** The largest LSN that 64 bits can hold. */
const LSN_MAX = 0xffffffffffffffffn;

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/**
 * Reads PostgreSQL's text form of an LSN.
 *
 * Shape:  'X/Y', the upper and the lower 32 bits in hexadecimal, one to eight digits each, either case.
 * Errors: PG_LSN_INVALID.
 * Source: PostgreSQL manual, "pg_lsn Type".
 */
export function parseLsn(text: string): bigint {
  const match = LSN_TEXT.exec(text);
  if (match === null) {
    throw new HoldfastError('PG_LSN_INVALID', `invalid LSN "${text}"`, {
      detail: 'Expected two hexadecimal numbers of at most eight digits with a slash between them.',
      hints: ['Write an LSN as PostgreSQL prints it, for example 16/B374D848.'],
    });
  }
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes an LSN as PostgreSQL does: 'X/Y' in upper-case hexadecimal without leading zeros. The inverse of `parseLsn`. */
export function formatLsn(lsn: bigint): string {
  if (lsn < 0n || lsn > LSN_MAX) {
    throw new HoldfastError('PG_LSN_INVALID', `cannot write ${lsn} as an LSN`, {
      detail: 'Expected a number of at most 64 bits that is not negative.',
    });
  }
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
