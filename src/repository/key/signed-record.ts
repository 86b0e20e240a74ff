import canonicalize from 'canonicalize';
import { assert } from '../../lib/index.ts';
import { isSignatureValid, type KeyRing } from './ring/index.ts';

/** What signing adds to a record: the raw Ed25519 key and signature in base64. */
export interface Signature {
  publicKey: string;
  signature: string;
}

/** Adds the ring's public key and its signature over the canonical JSON (RFC 8785) of the record with that key. */
export function signRecord<T extends object>(keys: KeyRing, record: T): T & Signature {
  const named = { ...record, publicKey: keys.publicKey.toString('base64') };
  return { ...named, signature: keys.sign(canonicalBytes(named)).toString('base64') };
}

/**
 * Why the signature of a record, as it was read, is not to be trusted; `null` when it is.
 *
 * Only the ring's own key is trusted: a signature by another one is as good as none until somebody vouches for that key.
 */
export function whyNotSigned(keys: KeyRing, record: unknown): NotSigned | null {
  return whyNotSignedBy(keys.publicKey, record);
}

/** The same, for those who know the key but do not have its ring. `publicKey`: 32 raw bytes of Ed25519. */
export function whyNotSignedBy(publicKey: Uint8Array, record: unknown): NotSigned | null {
  if (!hasSignature(record)) return 'unsigned';
  const { signature, ...signed } = record;
  if (signed.publicKey !== Buffer.from(publicKey).toString('base64')) return 'other-key';
  return isSignatureValid(publicKey, canonicalBytes(signed), Buffer.from(signature, 'base64')) ? null : 'invalid';
}

export type NotSigned = 'unsigned' | 'other-key' | 'invalid';

function canonicalBytes(value: unknown): Buffer {
  const text = canonicalize(value);
  assert(text !== undefined, 'a record is JSON');
  return Buffer.from(text, 'utf8');
}

function hasSignature(record: unknown): record is Signature {
  return (
    typeof record === 'object' &&
    record !== null &&
    'publicKey' in record &&
    'signature' in record &&
    typeof record.publicKey === 'string' &&
    typeof record.signature === 'string'
  );
}
