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
  assert(name.startsWith('volatile/'), `"${name}" is a name under volatile/`);
}
