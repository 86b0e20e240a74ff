import { codeOf, HoldfastError } from '../../lib/index.ts';

/**
 * What the operating system said while a restore wrote into its directory, as an error for people. The stores tell of their own troubles
 * in their own codes, so that what is still the system's is the target's. Anything else passes unchanged.
 */
export function targetErrorOf(error: unknown, place: string): unknown {
  if (!(error instanceof Error) || error instanceof HoldfastError || !('syscall' in error)) return error;
  const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(codeOf(error) ?? '');
  return new HoldfastError(
    'RESTORE_TARGET_WRITE_FAILED',
    `could not write into "${place}"${isFull ? ': no space left' : ''}`,
    {
      detail: `The system said: ${error.message}.`,
      hints: [
        isFull
          ? 'Free space there, or choose another place.'
          : 'Check the disk, the permissions and the log of the system, or choose another place.',
        'Then run the restore again.',
      ],
      cause: error,
    },
  );
}
