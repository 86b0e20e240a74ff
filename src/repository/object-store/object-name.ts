import { assert, HoldfastError } from '../../lib/index.ts';

/** Fits into the 1,024 bytes of an S3 key together with a prefix. */
const NAME_BYTES_MAX = 900;

const NAME_PATTERN = /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/;

function isObjectName(name: string): boolean {
  const parts = name.split('/');
  const sound = NAME_PATTERN.test(name) && !parts.includes('.') && !parts.includes('..');
  return sound && name.length <= NAME_BYTES_MAX;
}

/** Asserts what `store.ts` says of names that are written or deleted: they come from our own code, so another one is a programmer's error. */
export function assertObjectName(name: string): void {
  assert(isObjectName(name), `"${name}" is a name for an object`);
}

/**
 * Asks the same of a name that is read: that may come from a listing, in which stands what others put there, and what the way has done to it.
 * Errors: OBJECT_DAMAGED; to call it absent would let whoever deletes take a snapshot for forgotten.
 */
export function requireObjectName(name: string): void {
  if (isObjectName(name)) return;
  throw new HoldfastError('OBJECT_DAMAGED', `cannot read object "${name}": nothing of a repository has such a name`, {
    detail:
      'Expected letters, digits, ".", "_" and "-", in parts joined by "/", found others: somebody else put it there, or its name was harmed on the way.',
    hints: ['Run the command again; if it is listed again, look who put it into the place of the repository.'],
  });
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
