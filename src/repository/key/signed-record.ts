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
export function whyNotSigned(keys: KeyRing, record: unknown): 'unsigned' | 'other-key' | 'invalid' | null {
  if (!hasSignature(record)) return 'unsigned';
  const { signature, ...signed } = record;
  if (signed.publicKey !== keys.publicKey.toString('base64')) return 'other-key';
  return isSignatureValid(keys.publicKey, canonicalBytes(signed), Buffer.from(signature, 'base64')) ? null : 'invalid';
}

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
