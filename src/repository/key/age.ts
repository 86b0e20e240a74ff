import { HoldfastError } from '../../lib/index.ts';
import { readSecretText } from './key-file.ts';

/**
 * Loaded only where age is used: it takes a tenth of a second, which nobody else shall wait for.
 * Format: https://age-encryption.org/v1.
 */
const loadAge = () => import('age-encryption');

/** `AGE-SECRET-KEY-1` and 58 characters of bech32. */
const IDENTITY = /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/;
/** `age1` and 58 characters of bech32: recipients of X25519, which every version of age knows. */
const RECIPIENT = /^age1[0-9a-z]{58}$/;

/**
 * The identities in a file as `age-keygen` writes it: one on a line, with comments.
 *
 * Errors: `KEY_FILE_UNREADABLE`; `KEY_AGE_IDENTITY_INVALID`, which repeats nothing of the file.
 */
export async function readAgeIdentities(path: string): Promise<string[]> {
  const lines = (await readSecretText(path, 'age identity file'))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const strayAt = lines.findIndex((line) => !IDENTITY.test(line));
  if (lines.length > 0 && strayAt === -1) return lines;
  const isEncrypted = lines[0]?.startsWith('-----BEGIN AGE') || lines[0]?.startsWith('age-encryption.org');
  throw new HoldfastError('KEY_AGE_IDENTITY_INVALID', `cannot use age identity file "${path}"`, {
    detail: isEncrypted
      ? 'It is encrypted itself.'
      : lines.length === 0
        ? 'Expected lines that begin with AGE-SECRET-KEY-1, found none.'
        : `Expected only lines that begin with AGE-SECRET-KEY-1, and comments; entry ${strayAt + 1} is neither.`,
    hints: [
      isEncrypted
        ? 'Decrypt it into a file that only you may read, and name that.'
        : 'Give the file that `age-keygen -o FILE` made, or one with identities of X25519 only.',
    ],
  });
}

/** The recipients that these identities belong to. Errors: `KEY_AGE_IDENTITY_INVALID`. */
export async function recipientsOf(identities: readonly string[]): Promise<string[]> {
  const { identityToRecipient } = await loadAge();
  try {
    return await Promise.all(identities.map((identity) => identityToRecipient(identity)));
  } catch {
    // The cause may repeat the identity.
    throw identityBroken();
  }
}

/** Encrypts for all of the recipients; any one of their identities opens it. Errors: `KEY_AGE_RECIPIENT_INVALID` naming it. */
export async function encryptForAge(recipients: readonly string[], plain: Uint8Array): Promise<Uint8Array> {
  const { Encrypter } = await loadAge();
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    if (!RECIPIENT.test(recipient)) throw recipientInvalid(recipient);
    try {
      encrypter.addRecipient(recipient);
    } catch (error) {
      throw recipientInvalid(recipient, error);
    }
  }
  return encrypter.encrypt(plain);
}

/** The plain bytes, or `null` when none of the identities is a recipient. Errors: `KEY_AGE_IDENTITY_INVALID`. */
export async function decryptByAge(identities: readonly string[], file: Uint8Array): Promise<Uint8Array | null> {
  const { Decrypter } = await loadAge();
  const decrypter = new Decrypter();
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
  } catch {
    // The cause may repeat the identity.
    throw identityBroken();
  }
  try {
    return await decrypter.decrypt(file);
  } catch {
    // For somebody else, or changed: either way these identities do not open it.
    return null;
  }
}

function identityBroken(): HoldfastError {
  return new HoldfastError('KEY_AGE_IDENTITY_INVALID', 'cannot use an identity of age: it is mistyped or cut', {
    detail: 'Its own checksum does not agree with it.',
    hints: ['Copy the file again from where it was made.'],
  });
}

function recipientInvalid(recipient: string, cause?: unknown): HoldfastError {
  const isSecret = /^AGE-SECRET-KEY/i.test(recipient);
  return new HoldfastError(
    'KEY_AGE_RECIPIENT_INVALID',
    isSecret ? 'invalid recipient of age: a secret key was given' : `invalid recipient of age "${recipient}"`,
    {
      detail: 'Expected "age1" and 58 more characters, a public key of X25519.',
      hints: [
        isSecret
          ? 'Give the public key; a secret key in a list of arguments can be read by others on this machine, so make a new one.'
          : 'Copy it from the comment in the file that `age-keygen` made, or run `age-keygen -y FILE`.',
      ],
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
