import { argon2, hkdfSync, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import { base64Bytes } from './base64.ts';
import type { SymmetricSecret } from './credential.ts';
import { KEY_BYTES } from './ring/index.ts';

const SALT_BYTES = 16;

/**
 * What a slot may ask for: a slot is read before anything is proved, so that without limits whoever can write to the store could have any
 * amount of memory and time spent on it. 1 GiB and 64 passes leave room for stronger settings of later versions.
 */
const argon2id = z.strictObject({
  algorithm: z.literal('argon2id'),
  memoryKiB: z
    .number()
    .int()
    .min(1024)
    .max(1 << 20),
  passes: z.number().int().min(1).max(64),
  lanes: z.number().int().min(1).max(64),
  salt: base64Bytes(SALT_BYTES, 64).transform(toBase64),
});

const hkdfSha256 = z.strictObject({
  algorithm: z.literal('hkdf-sha256'),
  salt: base64Bytes(SALT_BYTES, 64).transform(toBase64),
});

/** How the wrapping key of a slot follows from a secret, as it stands in the slot. */
export const keyDerivation = z.discriminatedUnion('algorithm', [argon2id, hkdfSha256]);
export type KeyDerivation = z.infer<typeof keyDerivation>;

/** RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes; about a third of a second. */
const ARGON2_MEMORY_KIB = 64 << 10;
const ARGON2_PASSES = 3;
const ARGON2_LANES = 4;

const HKDF_INFO = Buffer.from('holdfast key file 1', 'latin1');

/** Fresh parameters for a new slot: slow only where a person types (rule C9). */
export function drawKeyDerivation(kind: SymmetricSecret['kind']): KeyDerivation {
  const salt = randomBytes(SALT_BYTES).toString('base64');
  if (kind === 'key-file') return { algorithm: 'hkdf-sha256', salt };
  return { algorithm: 'argon2id', memoryKiB: ARGON2_MEMORY_KIB, passes: ARGON2_PASSES, lanes: ARGON2_LANES, salt };
}

/** Whether a slot of this kind is stretched in this way: a passphrase never by HKDF, which would let it be guessed fast. */
export function fitsKind(kind: SymmetricSecret['kind'], kdf: KeyDerivation): boolean {
  return (kind === 'passphrase') === (kdf.algorithm === 'argon2id');
}

/** The wrapping key, 32 bytes. */
export async function deriveWrappingKey(secret: SymmetricSecret, kdf: KeyDerivation): Promise<Uint8Array> {
  const salt = Buffer.from(kdf.salt, 'base64');
  if (kdf.algorithm === 'hkdf-sha256') {
    return new Uint8Array(hkdfSync('sha256', secret.bytes, salt, HKDF_INFO, KEY_BYTES));
  }
  return stretch('argon2id', {
    message: secret.bytes,
    nonce: salt,
    memory: kdf.memoryKiB,
    passes: kdf.passes,
    parallelism: kdf.lanes,
    tagLength: KEY_BYTES,
  });
}

const stretch = promisify(argon2);

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
