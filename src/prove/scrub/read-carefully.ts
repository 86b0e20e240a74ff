import { assert, HoldfastError } from '../../lib/index.ts';
import { FORMAT_NAME, type Repository } from '../../repository/index.ts';

/** What the store or the cipher says of bytes that are not as they were written; anything else is the store's own trouble. */
const DAMAGE_CODES = new Set([
  'OBJECT_ABSENT',
  'OBJECT_TRUNCATED',
  'OBJECT_DAMAGED',
  'OBJECT_NEWER',
  'CHUNK_ABSENT',
  'CHUNK_DAMAGED',
  'TREE_INVALID',
  'KEY_EPOCH_ABSENT',
  'RECORD_UNRECOGNIZED',
]);

/** Readings before an object is called damaged: a cable, a controller or memory may alter bytes once. */
const READINGS = 3;
/** Long enough for a device to reset, short enough for thousands of damaged frames. */
const WAIT_MS = 20;

/** What came of reading an object, if need be several times. */
export type Reading<T> =
  | { readonly kind: 'read'; readonly value: T; readonly flaky: boolean }
  /** It is not what was stored, or the disk cannot read it and can read others. */
  | { readonly kind: 'damaged'; readonly error: HoldfastError }
  /** We may not read it: that says nothing about what it holds. */
  | { readonly kind: 'denied'; readonly error: HoldfastError };

/**
 * Reads again what turned out damaged, before it is believed.
 *
 * A device that cannot read one object is a damaged object; one that cannot read `format` either is a store in trouble, and so is every
 * error that may pass. Errors: those of the store in trouble.
 */
export async function readCarefully<T>(
  repository: Repository,
  read: () => Promise<T>,
  options: { patient?: boolean } = {},
): Promise<Reading<T>> {
  let last: HoldfastError | undefined;
  const readings = options.patient === false ? 2 : READINGS;
  for (let reading = 1; reading <= readings; reading++) {
    if (reading > 2) await repository.clock.sleep(WAIT_MS);
    try {
      return { kind: 'read', value: await read(), flaky: reading > 1 };
    } catch (error) {
      if (!isDamage(error) && !isOfOneObject(error)) throw error;
      last = error;
    }
  }
  assert(last !== undefined, 'a reading that did not succeed has failed');
  if (isOfOneObject(last)) await assertStoreAnswers(repository, last);
  return { kind: last.code === 'STORE_DENIED' ? 'denied' : 'damaged', error: last };
}

/** Whether an error says that an object is not what was stored. */
function isDamage(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && DAMAGE_CODES.has(error.code);
}

/** What may be true of one object alone. */
function isOfOneObject(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && ['STORE_FAILED', 'STORE_DENIED'].includes(error.code);
}

/** The object that everybody who opened the repository could read a moment ago. */
async function assertStoreAnswers({ store }: Repository, trouble: HoldfastError): Promise<void> {
  try {
    await store.get(FORMAT_NAME);
  } catch {
    // The store as a whole is in trouble, of which the first error tells.
    throw trouble;
  }
}

/** Why an object cannot be used, one whole sentence. */
export function sentenceOf(error: HoldfastError): string {
  return error.detail ?? `${error.message[0]!.toUpperCase()}${error.message.slice(1)}.`;
}
