import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { decodeKeyText, looksLikeKeyText } from './key-text.ts';
import { KEY_BYTES } from './ring/index.ts';

/**
 * Draws 256 bits into a new file that only its owner may read: 64 hexadecimal digits and a line feed. Durable when it returns.
 *
 * Errors: `KEY_FILE_EXISTS`; `KEY_FILE_UNWRITABLE`.
 */
export async function generateKeyFile(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw keyFileUnwritable(path, error);
    throw new HoldfastError('KEY_FILE_EXISTS', `cannot create key file "${path}": the file exists`, {
      hints: ['Choose another path; a key file is never overwritten, as what it opens would be lost.'],
    });
  }
  try {
    await file.writeFile(`${randomBytes(KEY_BYTES).toString('hex')}\n`);
    await file.sync();
    await using directory = await open(dirname(path), 'r');
    await directory.sync();
  } catch (error) {
    throw keyFileUnwritable(path, error);
  } finally {
    await file.close();
  }
}

/**
 * The 32 bytes of a key file: 64 hexadecimal digits, or the groups of a recovery kit as somebody typed them.
 *
 * Errors: `KEY_FILE_UNREADABLE`; `KEY_FILE_INVALID`, which says which group was mistyped and never repeats what was read.
 */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  const text = await readSecretText(path, 'key file');
  if (/^[0-9a-fA-F]{64}\s*$/.test(text)) return Buffer.from(text.trim(), 'hex');
  const typed = decodeKeyText(text);
  if ('key' in typed) return typed.key;
  throw new HoldfastError('KEY_FILE_INVALID', `invalid key file "${path}"`, {
    detail: looksLikeKeyText(text) ? typed.problem : 'Expected 64 hexadecimal digits, found something else.',
    hints: ['Check that it is the file that was made when the repository or the key was created.'],
  });
}

/** A file with a secret as text. Errors: `KEY_FILE_UNREADABLE`. */
export async function readSecretText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new HoldfastError('KEY_FILE_UNREADABLE', `could not read ${what} "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Check the path, and that you may read the file.'],
      cause: error,
    });
  }
}

function keyFileUnwritable(path: string, error: unknown): HoldfastError {
  return new HoldfastError('KEY_FILE_UNWRITABLE', `could not create key file "${path}"`, {
    detail: `The system said: ${messageOf(error)}.`,
    hints: ['Check that its directory exists and that you may write there.'],
    cause: error,
  });
}
