import { codeOf, HoldfastError } from '../../../lib/index.ts';

/** The error of an index object that says what this version does not read. */
export function unrecognized(found: unknown): HoldfastError {
  return new HoldfastError('WAL_LANDMARKS_UNRECOGNIZED', 'cannot read an object of the commit index', {
    detail: `Expected version 1, found ${String(found)}.`,
    hints: ['It is made from the WAL and not needed; a newer version of Holdfast reads it.'],
  });
}

/**
 * Whether an object of the index is absent, damaged or of a later version. Then the WAL tells the same: nothing depends on the index. Anything
 * else is the store's own trouble, and says nothing about what is stored.
 */
export function isWithoutIndex(error: unknown): boolean {
  return WITHOUT_INDEX_CODES.has(codeOf(error) ?? '');
}

const WITHOUT_INDEX_CODES = new Set([
  'OBJECT_ABSENT',
  'OBJECT_DAMAGED',
  'OBJECT_TRUNCATED',
  'OBJECT_NEWER',
  'WAL_LANDMARKS_UNRECOGNIZED',
  'BYTES_TRUNCATED',
  'BYTES_TRAILING',
]);
