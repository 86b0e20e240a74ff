import { z } from 'zod';
import { base64Bytes } from './base64.ts';
import { EPOCH_FINGERPRINT_BYTES, type EpochName, nameEpochs } from './epoch-name.ts';
import { encodeKeyBundle, type KeyBundle } from './key-bundle.ts';
import { formatKeyName } from './key-names.ts';
import { KEY_BYTES, type KeyRing, SIGNATURE_BYTES } from './ring/index.ts';
import { signRecord, whyNotSignedBy } from './signed-record.ts';
import { openWithKey, type SlotKeyPair, sealToKey } from './slot-key.ts';

/** What stands under `keys/` beside the slots. Each says what it is, so that no signature serves for another kind. */

const slotId = z.string().regex(/^[0-9a-f]{32}$/);
const signed = { publicKey: base64Bytes(KEY_BYTES), signature: base64Bytes(SIGNATURE_BYTES) };
const fingerprint = z.string().regex(new RegExp(`^[0-9a-f]{${2 * EPOCH_FINGERPRINT_BYTES}}$`));
const epoch = z.number().int().positive();
const GRANT_BYTES_MAX = 64 << 10;

const keyGrant = z.strictObject({
  record: z.literal('key-grant'),
  version: z.literal(2),
  slot: slotId,
  epoch,
  fingerprint,
  ephemeral: base64Bytes(KEY_BYTES),
  wrapped: base64Bytes(KEY_BYTES, GRANT_BYTES_MAX),
  ...signed,
});

const keyEpoch = z.strictObject({
  record: z.literal('key-epoch'),
  version: z.literal(2),
  epoch,
  /** Which key it has, and each epoch before it that its maker knew. */
  epochs: z.array(z.strictObject({ epoch, fingerprint })).min(1),
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

const GRANT_LABEL = Buffer.from('holdfast key grant 2', 'latin1');

/** Gives a slot the bundle, whose newest epoch names the object, with nothing of the slot but its public key. */
export function makeGrant(
  keys: KeyRing,
  to: { slot: string; slotKey: Uint8Array },
  bundle: KeyBundle,
): { name: string; bytes: Buffer } {
  const granted = { slot: to.slot, ...nameEpochs(bundle.material).at(-1)! };
  const { ephemeral, wrapped } = sealToKey(to.slotKey, grantInfo(keys.repositoryId, granted), encodeKeyBundle(bundle));
  const record = {
    record: 'key-grant',
    version: 2,
    ...granted,
    ephemeral: base64(ephemeral),
    wrapped: base64(wrapped),
  };
  return { name: formatKeyName({ kind: 'grant', ...granted }), bytes: encode(signRecord(keys, record)) };
}

/** What a grant gives to whom. */
export type Granted = EpochName & { slot: string };

/** The bundle in a grant, or `null` for one that is damaged, for another slot or epoch, or not signed by `signer`. */
export function openGrant(
  bytes: Uint8Array,
  expected: { repositoryId: Uint8Array; granted: Granted; pair: SlotKeyPair; signer: Uint8Array },
): Buffer | null {
  const grant = readGrant(bytes, expected.granted, expected.signer);
  if (grant === null) return null;
  return openWithKey(expected.pair, grantInfo(expected.repositoryId, expected.granted), grant);
}

/** Whether these bytes are a grant that somebody with the keys has made for this slot and epoch; what is in it only the slot's owner can tell. */
export function isGrantFor(bytes: Uint8Array, granted: Granted, signer: Uint8Array): boolean {
  return readGrant(bytes, granted, signer) !== null;
}

function readGrant(bytes: Uint8Array, granted: Granted, signer: Uint8Array): z.infer<typeof keyGrant> | null {
  const grant = readSigned(keyGrant, bytes, signer);
  const isIt =
    grant?.slot === granted.slot && grant.epoch === granted.epoch && grant.fingerprint === granted.fingerprint;
  return isIt ? grant : null;
}

/** Says that every slot has the newest of these epochs: from then on it seals. */
export function makeEpoch(keys: KeyRing, epochs: readonly EpochName[], at: string, slots: readonly string[]): Buffer {
  const { epoch } = epochs.at(-1)!;
  return encode(
    signRecord(keys, { record: 'key-epoch', version: 2, epoch, epochs: [...epochs], at, slots: [...slots] }),
  );
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

function grantInfo(repositoryId: Uint8Array, granted: Granted): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(granted.epoch);
  const parts = [Buffer.from(granted.slot, 'hex'), number, Buffer.from(granted.fingerprint, 'hex')];
  return Buffer.concat([GRANT_LABEL, repositoryId, ...parts]);
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document), 'utf8');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
