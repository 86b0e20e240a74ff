import { HoldfastError } from '../../lib/index.ts';
import { readAgeIdentities, recipientsOf } from './age.ts';
import type { KeyCommand } from './key-command.ts';
import { readKeyFile } from './key-file.ts';

/**
 * What opens a repository: a passphrase that a person knows, a file with 256 bits for machines, a file with identities of age, or a command
 * that asks a key service.
 */
export type Credential =
  | { kind: 'passphrase'; passphrase: string }
  | { kind: 'key-file'; path: string }
  /** What a key file holds, 32 bytes, when it is at hand without one. */
  | { kind: 'key'; bytes: Uint8Array }
  | { kind: 'age-identity'; path: string }
  | { kind: 'command'; command: KeyCommand };

/** What a new slot is locked for: a credential, or recipients of age, whose identities are elsewhere. */
export type NewKey = Credential | { kind: 'age-recipients'; recipients: readonly string[] };

/** The kinds of slots. */
export type SlotKind = 'passphrase' | 'key-file' | 'age' | 'command';

/** A secret that is stretched or taken as it is into a wrapping key. */
export interface SymmetricSecret {
  kind: 'passphrase' | 'key-file';
  bytes: Uint8Array;
}

/** What is at hand of a credential, ready to be tried on slots of its kind. */
export type KeySecret =
  | SymmetricSecret
  | { kind: 'age'; identities: readonly string[] }
  | { kind: 'command'; command: KeyCommand };

/** What a new slot is locked with. Public for age, so that a slot can be made for somebody who is not there. */
export type LockingSecret =
  | SymmetricSecret
  | { kind: 'age'; recipients: readonly string[] }
  | { kind: 'command'; command: KeyCommand };

/**
 * Reads the secret of a credential: a passphrase in Unicode form NFC, so that it is the same from every keyboard; the 32 bytes of a key file;
 * the identities of an age file; a command as it is.
 *
 * Errors: `KEY_PASSPHRASE_EMPTY`; `KEY_FILE_UNREADABLE`; `KEY_FILE_INVALID`; `KEY_AGE_IDENTITY_INVALID`.
 */
export async function readSecret(credential: Credential): Promise<KeySecret> {
  switch (credential.kind) {
    case 'key-file':
      return { kind: 'key-file', bytes: await readKeyFile(credential.path) };
    case 'key':
      return { kind: 'key-file', bytes: credential.bytes };
    case 'age-identity':
      return { kind: 'age', identities: await readAgeIdentities(credential.path) };
    case 'command':
      return { kind: 'command', command: credential.command };
    case 'passphrase':
      return { kind: 'passphrase', bytes: passphraseBytes(credential.passphrase) };
  }
}

/** What a new slot is to be locked with. Errors: those of `readSecret`; `KEY_AGE_RECIPIENT_INVALID`. */
export async function readLockingSecret(key: NewKey): Promise<LockingSecret> {
  if (key.kind === 'age-recipients') return { kind: 'age', recipients: key.recipients };
  return toLockingSecret(await readSecret(key));
}

/** The same secret, to lock a slot that it will open. */
export async function toLockingSecret(secret: KeySecret): Promise<LockingSecret> {
  return secret.kind === 'age' ? { kind: 'age', recipients: await recipientsOf(secret.identities) } : secret;
}

function passphraseBytes(passphrase: string): Uint8Array {
  if (passphrase !== '') return Buffer.from(passphrase.normalize('NFC'), 'utf8');
  throw new HoldfastError('KEY_PASSPHRASE_EMPTY', 'cannot use an empty passphrase', {
    hints: ['Set HOLDFAST_PASSPHRASE or HOLDFAST_PASSPHRASE_FILE, or use a key file.'],
  });
}
