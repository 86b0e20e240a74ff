import { z } from 'zod';
import { base64Bytes } from './base64.ts';
import { KEY_BYTES, type KeyRing, SIGNATURE_BYTES } from './ring/index.ts';
import { signRecord, whyNotSignedBy } from './signed-record.ts';
import { openWithKey, type SlotKeyPair, sealToKey } from './slot-key.ts';

/** What stands under `keys/` beside the slots. Each says what it is, so that no signature serves for another kind. */

const slotId = z.string().regex(/^[0-9a-f]{32}$/);
const signed = { publicKey: base64Bytes(KEY_BYTES), signature: base64Bytes(SIGNATURE_BYTES) };
const GRANT_BYTES_MAX = 64 << 10;

const keyGrant = z.strictObject({
  record: z.literal('key-grant'),
  version: z.literal(1),
  slot: slotId,
  epoch: z.number().int().positive(),
  ephemeral: base64Bytes(KEY_BYTES),
  wrapped: base64Bytes(KEY_BYTES, GRANT_BYTES_MAX),
  ...signed,
});

const keyEpoch = z.strictObject({
  record: z.literal('key-epoch'),
  version: z.literal(1),
  epoch: z.number().int().positive(),
  at: z.iso.datetime(),
  /** The slots that were given it before it was begun. */
  slots: z.array(slotId),
  ...signed,
});

const keyRemoval = z.strictObject({
  record: z.literal('key-removal'),
  version: z.literal(1),
  slot: slotId,
  at: z.iso.datetime(),
  /** The slot that came in its place. */
  replacedBy: slotId.nullable(),
  ...signed,
});

export type KeyEpoch = z.infer<typeof keyEpoch>;
export type KeyRemoval = z.infer<typeof keyRemoval>;

const GRANT_LABEL = Buffer.from('holdfast key grant 1', 'latin1');

/** Gives a slot the bundle with all epochs up to `epoch`, with nothing of the slot but its public key. */
export function makeGrant(
  keys: KeyRing,
  to: { slot: string; slotKey: Uint8Array },
  epoch: number,
  bundle: Uint8Array,
): Buffer {
  const { ephemeral, wrapped } = sealToKey(to.slotKey, grantInfo(keys.repositoryId, to.slot, epoch), bundle);
  return encode(
    signRecord(keys, {
      ...{ record: 'key-grant', version: 1, slot: to.slot, epoch },
      ...{ ephemeral: base64(ephemeral), wrapped: base64(wrapped) },
    }),
  );
}

/** The bundle in a grant, or `null` for one that is damaged, for another slot or epoch, or not signed by `signer`. */
export function openGrant(
  bytes: Uint8Array,
  expected: { repositoryId: Uint8Array; slot: string; epoch: number; pair: SlotKeyPair; signer: Uint8Array },
): Buffer | null {
  const grant = readSigned(keyGrant, bytes, expected.signer);
  if (grant === null || grant.slot !== expected.slot || grant.epoch !== expected.epoch) return null;
  return openWithKey(expected.pair, grantInfo(expected.repositoryId, grant.slot, grant.epoch), grant);
}

/** Whether these bytes are a grant that somebody with the keys has made for this slot and epoch; what is in it only the slot's owner can tell. */
export function isGrantFor(bytes: Uint8Array, slot: string, epoch: number, signer: Uint8Array): boolean {
  const grant = readSigned(keyGrant, bytes, signer);
  return grant?.slot === slot && grant.epoch === epoch;
}

/** Says that every slot has the epoch: from then on it seals. */
export function makeEpoch(keys: KeyRing, epoch: number, at: string, slots: readonly string[]): Buffer {
  return encode(signRecord(keys, { record: 'key-epoch', version: 1, epoch, at, slots: [...slots] }));
}

export function readEpoch(bytes: Uint8Array, signer: Uint8Array): KeyEpoch | null {
  return readSigned(keyEpoch, bytes, signer);
}

/** Says that a slot is to be given nothing any more, whether or not it can be deleted. */
export function makeRemoval(keys: KeyRing, slot: string, at: string, replacedBy: string | null): Buffer {
  return encode(signRecord(keys, { record: 'key-removal', version: 1, slot, at, replacedBy }));
}

export function readRemoval(bytes: Uint8Array, signer: Uint8Array): KeyRemoval | null {
  return readSigned(keyRemoval, bytes, signer);
}

function readSigned<T>(schema: z.ZodType<T>, bytes: Uint8Array, signer: Uint8Array): T | null {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    // Damaged, or nobody's: it says nothing.
    return null;
  }
  if (whyNotSignedBy(signer, document) !== null) return null;
  return schema.safeParse(document).data ?? null;
}

function grantInfo(repositoryId: Uint8Array, slot: string, epoch: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(epoch);
  return Buffer.concat([GRANT_LABEL, repositoryId, Buffer.from(slot, 'hex'), number]);
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document), 'utf8');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
