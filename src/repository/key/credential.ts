import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { KEY_BYTES } from './ring/index.ts';

/** What opens a repository: a passphrase that a person knows, or a file with 256 bits for machines. */
export type Credential = { kind: 'passphrase'; passphrase: string } | { kind: 'key-file'; path: string };

/** The secret bytes of a credential, by the kind that says how they are to be stretched. */
export interface KeySecret {
  kind: Credential['kind'];
  bytes: Uint8Array;
}

/**
 * Reads the secret of a credential: a passphrase in Unicode form NFC, so that it is the same from every keyboard; the 32 bytes of a key file.
 *
 * Errors: `KEY_PASSPHRASE_EMPTY`; `KEY_FILE_UNREADABLE`; `KEY_FILE_INVALID`.
 */
export async function readSecret(credential: Credential): Promise<KeySecret> {
  if (credential.kind === 'key-file') return { kind: 'key-file', bytes: await readKeyFile(credential.path) };
  if (credential.passphrase === '') {
    throw new HoldfastError('KEY_PASSPHRASE_EMPTY', 'cannot use an empty passphrase', {
      hints: ['Set HOLDFAST_PASSPHRASE or HOLDFAST_PASSPHRASE_FILE, or use a key file.'],
    });
  }
  return { kind: 'passphrase', bytes: Buffer.from(credential.passphrase.normalize('NFC'), 'utf8') };
}

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

async function readKeyFile(path: string): Promise<Uint8Array> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new HoldfastError('KEY_FILE_UNREADABLE', `could not read key file "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Check the path, and that you may read the file.'],
      cause: error,
    });
  }
  if (/^[0-9a-fA-F]{64}\s*$/.test(text)) return Buffer.from(text.trim(), 'hex');
  throw new HoldfastError('KEY_FILE_INVALID', `invalid key file "${path}"`, {
    detail: 'Expected 64 hexadecimal digits, found something else.',
    hints: ['Check that it is the file that was made when the repository or the key was created.'],
  });
}

function keyFileUnwritable(path: string, error: unknown): HoldfastError {
  return new HoldfastError('KEY_FILE_UNWRITABLE', `could not create key file "${path}"`, {
    detail: `The system said: ${messageOf(error)}.`,
    hints: ['Check that its directory exists and that you may write there.'],
    cause: error,
  });
}
