import { assert } from '../../lib/index.ts';

/** Fits into the 1,024 bytes of an S3 key together with a prefix. */
const NAME_BYTES_MAX = 900;

const NAME_PATTERN = /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/;

/** Asserts what `store.ts` says of names; they come from our own code, never from outside, so another one is a programmer's error. */
export function assertObjectName(name: string): void {
  const parts = name.split('/');
  const sound = NAME_PATTERN.test(name) && !parts.includes('.') && !parts.includes('..');
  assert(sound && name.length <= NAME_BYTES_MAX, `"${name}" is a name for an object`);
}

/** Only these names may be overwritten. */
export function assertVolatileName(name: string): void {
  assertObjectName(name);
  assert(isVolatile(name), `"${name}" is a name under volatile/`);
}

/** Where that lies which belongs to the moment: overwritten and deleted by design, and needed by no restore. */
export const VOLATILE_PREFIX = 'volatile/';

/** Asked of a name, or of a prefix of names. */
export function isVolatile(name: string): boolean {
  return name.startsWith(VOLATILE_PREFIX);
}

const FRAGMENT_PATTERN = /^wal\/[^/]+\/[^/]+\/fragments\//;

/** Whether it is a fragment of WAL, the one kind that a writer deletes every day: what it holds is in a segment then. */
export function isFragment(name: string): boolean {
  return FRAGMENT_PATTERN.test(name);
}
