import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { decryptByAge, encryptForAge } from './age.ts';
import type { KeySecret, LockingSecret, SymmetricSecret } from './credential.ts';
import { runKeyCommand } from './key-command.ts';
import { deriveWrappingKey, drawKeyDerivation, type KeyDerivation } from './key-derivation.ts';
import { KEY_BYTES } from './ring/index.ts';

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** What a slot says in the clear of how it is locked. */
export type LockTerms =
  | { kind: 'passphrase' | 'key-file'; kdf: KeyDerivation }
  | { kind: 'age'; recipients: string[] }
  | { kind: 'command' };

/** The locked key; `nonce` where our own cipher locked it. */
export interface LockedKey {
  nonce?: Uint8Array;
  wrapped: Uint8Array;
}

/** Fresh terms for a new slot. */
export function drawTerms(secret: LockingSecret): LockTerms {
  switch (secret.kind) {
    case 'age':
      return { kind: 'age', recipients: [...secret.recipients] };
    case 'command':
      return { kind: 'command' };
    default:
      return { kind: secret.kind, kdf: drawKeyDerivation(secret.kind) };
  }
}

/**
 * Locks the private key of a slot. `binding`, 32 bytes, stands for all that the slot says in the clear: it is authenticated with the key, so that
 * none of it can be changed.
 *
 * Errors: `KEY_AGE_RECIPIENT_INVALID`; `KEY_COMMAND_FAILED`.
 */
export async function lockKey(
  secret: LockingSecret,
  terms: LockTerms,
  place: LockPlace,
  privateKey: Uint8Array,
): Promise<LockedKey> {
  if (secret.kind === 'age') {
    return { wrapped: await encryptForAge(secret.recipients, Buffer.concat([privateKey, place.binding])) };
  }
  if (secret.kind === 'command') {
    const plain = Buffer.concat([privateKey, place.binding]);
    return { wrapped: await runKeyCommand(secret.command, 'wrap', place.context, plain) };
  }
  const nonce = randomBytes(NONCE_BYTES);
  const key = await deriveWrappingKey(secret, kdfOf(terms));
  const sealing = createCipheriv('aes-256-gcm', key, nonce);
  sealing.setAAD(place.binding);
  return { nonce, wrapped: Buffer.concat([sealing.update(privateKey), sealing.final(), sealing.getAuthTag()]) };
}

/** The private key, 32 bytes, or `null` when the secret is not the one. Errors: `KEY_COMMAND_FAILED`; `KEY_AGE_IDENTITY_INVALID`. */
export async function unlockKey(
  secret: KeySecret,
  terms: LockTerms,
  place: LockPlace,
  locked: LockedKey,
): Promise<Uint8Array | null> {
  if (secret.kind === 'age') return splitBound(await decryptByAge(secret.identities, locked.wrapped), place.binding);
  if (secret.kind === 'command') {
    const plain = await runKeyCommand(secret.command, 'unwrap', place.context, locked.wrapped);
    return splitBound(plain, place.binding);
  }
  return openSymmetric(secret, kdfOf(terms), locked, place.binding);
}

/** What a slot is bound to, and how a key service is told of it. */
export interface LockPlace {
  binding: Uint8Array;
  context: string;
}

/** AES-256-GCM under the key that follows from a secret; `null` when it is another secret, or anything was changed. */
export async function openSymmetric(
  secret: SymmetricSecret,
  kdf: KeyDerivation,
  { nonce, wrapped }: LockedKey,
  additional: Uint8Array,
): Promise<Buffer | null> {
  const tagAt = wrapped.length - TAG_BYTES;
  if (nonce === undefined || tagAt < 0) return null;
  const opening = createDecipheriv('aes-256-gcm', await deriveWrappingKey(secret, kdf), nonce, {
    authTagLength: TAG_BYTES,
  });
  opening.setAAD(additional);
  opening.setAuthTag(wrapped.subarray(tagAt));
  const plain = opening.update(wrapped.subarray(0, tagAt));
  try {
    return Buffer.concat([plain, opening.final()]);
  } catch {
    // The one reason for which this fails is another secret or another slot.
    return null;
  }
}

function kdfOf(terms: LockTerms): KeyDerivation {
  if ('kdf' in terms) return terms.kdf;
  throw new TypeError('a secret is tried on slots of its kind');
}

function splitBound(plain: Uint8Array | null, binding: Uint8Array): Uint8Array | null {
  if (plain === null || plain.length !== KEY_BYTES + binding.length) return null;
  return Buffer.from(plain.subarray(KEY_BYTES)).equals(binding) ? Uint8Array.from(plain.subarray(0, KEY_BYTES)) : null;
}
