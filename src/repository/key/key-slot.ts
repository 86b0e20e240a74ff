import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { assert } from '../../lib/index.ts';
import { base64Bytes } from './base64.ts';
import type { KeySecret } from './credential.ts';
import { deriveWrappingKey, drawKeyDerivation, fitsKind, keyDerivation } from './key-derivation.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** A bundle with some hundred epochs; a slot that claims more is not ours. */
const WRAPPED_BYTES_MAX = 64 << 10;

const slotDocument = z.strictObject({
  version: z.literal(1),
  slot: z.string().regex(/^[0-9a-f]{32}$/),
  kind: z.enum(['passphrase', 'key-file']),
  label: z.string(),
  createdAt: z.iso.datetime(),
  kdf: keyDerivation,
  nonce: base64Bytes(NONCE_BYTES),
  wrapped: base64Bytes(TAG_BYTES, WRAPPED_BYTES_MAX),
});

/** A stored slot: everything about it is in the clear but the bundle that it wraps. */
export type KeySlot = z.infer<typeof slotDocument>;

/** What a slot says before its bundle. */
export type KeySlotHead = Omit<KeySlot, 'nonce' | 'wrapped'>;

const WRAP_LABEL = Buffer.from('holdfast key slot 1', 'latin1');

/**
 * Wraps a bundle for one secret and gives the bytes of the slot.
 *
 * AES-256-GCM under a key of its own (the salt is fresh). Authenticated with it: label · repository id · slot id · canonical JSON of all
 * that the slot says in the clear.
 */
export async function sealKeySlot(options: {
  repositoryId: Uint8Array;
  secret: KeySecret;
  bundle: Uint8Array;
  label: string;
  createdAt: string;
}): Promise<{ slot: string; bytes: Buffer }> {
  const { secret, label, createdAt } = options;
  const slot = randomBytes(16).toString('hex');
  const head: KeySlotHead = {
    version: 1,
    slot,
    kind: secret.kind,
    label,
    createdAt,
    kdf: drawKeyDerivation(secret.kind),
  };
  const nonce = randomBytes(NONCE_BYTES);
  const sealing = createCipheriv('aes-256-gcm', await deriveWrappingKey(secret, head.kdf), nonce);
  sealing.setAAD(additionalData(options.repositoryId, head));
  const wrapped = Buffer.concat([sealing.update(options.bundle), sealing.final(), sealing.getAuthTag()]);
  const document = { ...head, nonce: nonce.toString('base64'), wrapped: wrapped.toString('base64') };
  return { slot, bytes: Buffer.from(JSON.stringify(document), 'utf8') };
}

/** Reads a slot; `null` for bytes that are none, such as those of a damaged one. Nothing is proved by it yet. */
export function decodeKeySlot(bytes: Uint8Array): KeySlot | null {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    // Not JSON: the caller says which object it is.
    return null;
  }
  const slot = slotDocument.safeParse(document).data;
  return slot !== undefined && fitsKind(slot.kind, slot.kdf) ? slot : null;
}

/** The bundle in a slot, or `null` when the secret is not the one that it was made for (or the slot was changed). */
export async function openKeySlot(repositoryId: Uint8Array, slot: KeySlot, secret: KeySecret): Promise<Buffer | null> {
  assert(slot.kind === secret.kind, 'a secret is tried on slots of its kind');
  const { nonce, wrapped, ...head } = slot;
  const tagAt = wrapped.length - TAG_BYTES;
  const opening = createDecipheriv('aes-256-gcm', await deriveWrappingKey(secret, slot.kdf), nonce, {
    authTagLength: TAG_BYTES,
  });
  opening.setAAD(additionalData(repositoryId, head));
  opening.setAuthTag(wrapped.subarray(tagAt));
  const bundle = opening.update(wrapped.subarray(0, tagAt));
  try {
    return Buffer.concat([bundle, opening.final()]);
  } catch {
    // The one reason for which this fails is another secret or another slot.
    return null;
  }
}

function additionalData(repositoryId: Uint8Array, head: KeySlotHead): Buffer {
  const text = canonicalize(head);
  assert(text !== undefined, 'the head of a slot is JSON');
  return Buffer.concat([WRAP_LABEL, repositoryId, Buffer.from(head.slot, 'hex'), Buffer.from(text, 'utf8')]);
}
