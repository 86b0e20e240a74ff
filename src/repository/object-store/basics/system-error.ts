import { codeOf, HoldfastError } from '../../../lib/index.ts';

/**
 * Says in the store's codes what a call of the operating system meant.
 *
 * `action` completes "could not …", such as `write object "packs/…"`. What is no error of the system (one of ours, a broken
 * invariant) passes unchanged.
 */
export function storeErrorOf(error: unknown, action: string): Error {
  if (!(error instanceof Error) || error instanceof HoldfastError || codeOf(error) === undefined) return error as Error;
  const said = { detail: `The system said: ${error.message}.`, cause: error };
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new HoldfastError('STORE_FULL', `could not ${action}: no space left`, {
        ...said,
        hints: ['Free space or raise the quota of the file system that holds the repository.'],
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new HoldfastError('STORE_DENIED', `could not ${action}: not permitted`, {
        ...said,
        hints: ['Check the owner and mode of the directory, and that it is not mounted read-only.'],
      });
    case 'EAGAIN':
    case 'EBUSY':
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
    case 'EINTR':
    case 'ESTALE':
    case 'ETIMEDOUT':
      return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}`, { ...said, retryable: true });
    default:
      return new HoldfastError('STORE_FAILED', `could not ${action}`, said);
  }
}
