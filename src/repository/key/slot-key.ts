import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { assert } from '../../lib/index.ts';
import { KEY_BYTES } from './ring/index.ts';

/** The DER that stands before the 32 bytes of an X25519 private key (RFC 8410, section 7) and public key (section 4). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

const TAG_BYTES = 16;

/** A key pair of X25519 as raw bytes, 32 each. */
export interface SlotKeyPair {
  privateKey: Uint8Array;
  publicKey: Uint8Array;
}

export function drawSlotKey(): SlotKeyPair {
  const { privateKey } = generateKeyPairSync('x25519');
  const raw = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_PREFIX.length);
  return { privateKey: Uint8Array.from(raw), publicKey: publicKeyOf(raw) };
}

/** The public half, 32 bytes. */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const der = createPublicKey(importPrivate(privateKey)).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(SPKI_PREFIX.length));
}

/** What was sealed to a public key: `ephemeral`, 32 bytes, made for this alone; `wrapped`, ciphertext and tag. */
export interface SealedToKey {
  ephemeral: Uint8Array;
  wrapped: Uint8Array;
}

/**
 * Seals to a public key, with nothing secret at hand. It says nothing about who sealed it.
 *
 * Shape: AES-256-GCM with a zero nonce under HKDF-SHA256(X25519(ephemeral, public key), salt = ephemeral public key ‖ public key, `info`): the
 * ephemeral key is used once, and so is the key that follows from it.
 */
export function sealToKey(publicKey: Uint8Array, info: Uint8Array, plain: Uint8Array): SealedToKey {
  const ephemeral = drawSlotKey();
  const key = agreedKey(ephemeral.privateKey, publicKey, Buffer.concat([ephemeral.publicKey, publicKey]), info);
  const sealing = createCipheriv('aes-256-gcm', key, ZERO_NONCE);
  const wrapped = Buffer.concat([sealing.update(plain), sealing.final(), sealing.getAuthTag()]);
  return { ephemeral: ephemeral.publicKey, wrapped };
}

/** Reverses `sealToKey`; `null` when it was sealed to another key, with other information, or changed. */
export function openWithKey(pair: SlotKeyPair, info: Uint8Array, sealed: SealedToKey): Buffer | null {
  const { ephemeral, wrapped } = sealed;
  try {
    const key = agreedKey(pair.privateKey, ephemeral, Buffer.concat([ephemeral, pair.publicKey]), info);
    const opening = createDecipheriv('aes-256-gcm', key, ZERO_NONCE, { authTagLength: TAG_BYTES });
    const tagAt = wrapped.length - TAG_BYTES;
    opening.setAuthTag(wrapped.subarray(tagAt));
    return Buffer.concat([opening.update(wrapped.subarray(0, tagAt)), opening.final()]);
  } catch {
    // A point without a shared secret, fewer bytes than a tag, or a tag that does not fit: it is not for this key.
    return null;
  }
}

const ZERO_NONCE = Buffer.alloc(12);

function agreedKey(privateKey: Uint8Array, publicKey: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array {
  const shared = diffieHellman({ privateKey: importPrivate(privateKey), publicKey: importPublic(publicKey) });
  return new Uint8Array(hkdfSync('sha256', shared, salt, info, KEY_BYTES));
}

function importPrivate(raw: Uint8Array): KeyObject {
  assert(raw.length === KEY_BYTES, 'a slot key has 32 bytes');
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, raw]), format: 'der', type: 'pkcs8' });
}

function importPublic(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
}
