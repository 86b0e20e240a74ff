import { createHash, randomBytes } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { assert } from '../../lib/index.ts';
import { base64Bytes } from './base64.ts';
import type { KeySecret, LockingSecret } from './credential.ts';
import { fitsKind, keyDerivation } from './key-derivation.ts';
import { KEY_BYTES, type KeyRing, SIGNATURE_BYTES } from './ring/index.ts';
import { signRecord, whyNotSigned, whyNotSignedBy } from './signed-record.ts';
import { drawSlotKey, publicKeyOf, type SlotKeyPair } from './slot-key.ts';
import {
  drawTerms,
  type LockedKey,
  type LockPlace,
  type LockTerms,
  lockKey,
  NONCE_BYTES,
  openSymmetric,
  TAG_BYTES,
  unlockKey,
} from './slot-lock.ts';

/** A bundle with some hundred epochs; a slot that claims more is not ours. */
const WRAPPED_BYTES_MAX = 64 << 10;
/** As many people as share one slot. */
const RECIPIENTS_MAX = 64;

const slotId = z.string().regex(/^[0-9a-f]{32}$/);
const clear = { slot: slotId, label: z.string(), createdAt: z.iso.datetime() };
const wrapped = base64Bytes(TAG_BYTES, WRAPPED_BYTES_MAX);

/** What older versions wrote: the bundle itself, wrapped by the secret. It cannot be given a new epoch without that. */
const slotOfVersion1 = z.strictObject({
  version: z.literal(1),
  ...clear,
  kind: z.enum(['passphrase', 'key-file']),
  kdf: keyDerivation,
  nonce: base64Bytes(NONCE_BYTES),
  wrapped,
});

const shared = {
  record: z.literal('key-slot'),
  version: z.literal(2),
  ...clear,
  slotKey: base64Bytes(KEY_BYTES),
  wrapped,
  publicKey: base64Bytes(KEY_BYTES),
  signature: base64Bytes(SIGNATURE_BYTES),
};

const slotOfVersion2 = z.discriminatedUnion('kind', [
  z.strictObject({
    ...shared,
    kind: z.enum(['passphrase', 'key-file']),
    kdf: keyDerivation,
    nonce: base64Bytes(NONCE_BYTES),
  }),
  z.strictObject({ ...shared, kind: z.literal('age'), recipients: z.array(z.string()).min(1).max(RECIPIENTS_MAX) }),
  z.strictObject({ ...shared, kind: z.literal('command') }),
]);

const anySlot = z.union([slotOfVersion1, slotOfVersion2]);

/** A stored slot: everything about it is in the clear but the key that it locks away. `document`: as it was read, for its signature. */
export type KeySlot = z.infer<typeof anySlot> & { document: unknown };
export type KeySlotOfVersion1 = z.infer<typeof slotOfVersion1> & { document: unknown };
/** One with a key pair of its own, to which anybody with the keys can give a new epoch. */
export type KeySlotWithKey = z.infer<typeof slotOfVersion2> & { document: unknown };

const LABEL_1 = Buffer.from('holdfast key slot 1', 'latin1');
const LABEL_2 = Buffer.from('holdfast key slot 2', 'latin1');

/**
 * Makes a slot: a key pair of its own, whose private half is locked for one secret, signed by the repository.
 *
 * Signed, so that nobody who can only write to the store gets a bundle sealed to a key of theirs.
 * Errors: `KEY_AGE_RECIPIENT_INVALID`; `KEY_COMMAND_FAILED`.
 */
export async function makeKeySlot(options: {
  keys: KeyRing;
  secret: LockingSecret;
  label: string;
  createdAt: string;
}): Promise<{ slot: string; pair: SlotKeyPair; bytes: Buffer }> {
  const { keys, secret, label, createdAt } = options;
  const slot = randomBytes(16).toString('hex');
  const pair = drawSlotKey();
  const terms = drawTerms(secret);
  const head = {
    ...{ record: 'key-slot', version: 2, slot, label, createdAt, ...terms },
    slotKey: base64(pair.publicKey),
    publicKey: base64(keys.publicKey),
  };
  const locked = await lockKey(secret, terms, placeOf(keys.repositoryId, slot, head), pair.privateKey);
  const nonce = locked.nonce === undefined ? {} : { nonce: base64(locked.nonce) };
  const document = signRecord(keys, { ...head, ...nonce, wrapped: base64(locked.wrapped) });
  return { slot, pair, bytes: Buffer.from(JSON.stringify(document), 'utf8') };
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
  const slot = anySlot.safeParse(document).data;
  if (slot === undefined || ('kdf' in slot && !fitsKind(slot.kind, slot.kdf))) return null;
  return { ...slot, document };
}

/** The bundle in a slot of version 1, or `null` when the secret is not the one that it was made for (or the slot was changed). */
export async function openSlotOfVersion1(
  repositoryId: Uint8Array,
  slot: KeySlotOfVersion1,
  secret: KeySecret,
): Promise<Buffer | null> {
  if (secret.kind !== slot.kind) return null;
  const { nonce, wrapped: sealed, document: _, ...head } = slot;
  const additional = Buffer.concat([LABEL_1, repositoryId, Buffer.from(slot.slot, 'hex'), canonicalBytes(head)]);
  return openSymmetric(secret, slot.kdf, { nonce, wrapped: sealed }, additional);
}

/** The key pair of a slot, or `null` when the secret is not the one, or the slot was changed. Errors: `KEY_COMMAND_FAILED`. */
export async function openSlotOfVersion2(
  repositoryId: Uint8Array,
  slot: KeySlotWithKey,
  secret: KeySecret,
): Promise<SlotKeyPair | null> {
  if (secret.kind !== slot.kind || !isSlotWhole(slot)) return null;
  const { signature: _s, nonce: _n, wrapped: _w, ...head } = slot.document as Record<string, unknown>;
  const locked: LockedKey = 'nonce' in slot ? { nonce: slot.nonce, wrapped: slot.wrapped } : { wrapped: slot.wrapped };
  const privateKey = await unlockKey(secret, slot as LockTerms, placeOf(repositoryId, slot.slot, head), locked);
  if (privateKey === null) return null;
  const publicKey = publicKeyOf(privateKey);
  return Buffer.from(publicKey).equals(slot.slotKey) ? { privateKey, publicKey } : null;
}

/** Whether a slot is as its maker signed it, whoever that was; of version 1 nobody can tell without its secret. */
export function isSlotWhole(slot: KeySlot): boolean {
  return slot.version === 1 || whyNotSignedBy(slot.publicKey, slot.document) === null;
}

/** Whether a slot was made by somebody who has the keys of this repository; of version 1 nobody can tell without its secret. */
export function isSlotOurs(keys: KeyRing, slot: KeySlot): boolean {
  return slot.version === 2 && whyNotSigned(keys, slot.document) === null;
}

function placeOf(repositoryId: Uint8Array, slot: string, head: object): LockPlace {
  const hash = createHash('sha256').update(LABEL_2).update(repositoryId).update(Buffer.from(slot, 'hex'));
  const context = `holdfast repository=${Buffer.from(repositoryId).toString('hex')} slot=${slot}`;
  return { binding: hash.update(canonicalBytes(head)).digest(), context };
}

function canonicalBytes(value: unknown): Buffer {
  const text = canonicalize(value);
  assert(text !== undefined, 'the head of a slot is JSON');
  return Buffer.from(text, 'utf8');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
