import { HoldfastError } from '../../lib/index.ts';

/** What is wrong with a connection string, which itself may hold a password and is never quoted. */
export function invalidString(detail: string, hint?: string): HoldfastError {
  return new HoldfastError('PG_CONNECTION_STRING_INVALID', 'invalid connection string', {
    detail,
    hints: hint === undefined ? [] : [hint],
  });
}

/** What libpq can do and this package cannot; said before anything is tried. */
export function unsupportedString(detail: string, hint: string): HoldfastError {
  return new HoldfastError('PG_CONNECTION_STRING_UNSUPPORTED', 'cannot honour the connection string', {
    detail,
    hints: [hint],
  });
}
