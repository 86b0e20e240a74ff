import { HoldfastError, mapAhead } from '../../lib/index.ts';
import { isAbsent, type ObjectStore } from '../object-store/index.ts';
import { type Credential, type KeySecret, readSecret } from './credential.ts';
import { decodeKeySlot, type KeySlot, openKeySlot } from './key-slot.ts';

/** More slots than people and machines have keys; a store that lists more was tampered with, and each costs a derivation. */
const SLOTS_MAX = 256;
/** Slots that are asked for at once. */
const READS_MAX = 16;

export const SLOT_PREFIX = 'keys/';

/** The slots that are there; `damaged` are the names of those that cannot be read. */
export interface StoredSlots {
  slots: KeySlot[];
  damaged: string[];
}

/** Reads every slot. Nothing is proved about them. Errors: those of the store. */
export async function listStoredSlots(store: ObjectStore): Promise<StoredSlots> {
  const stored: StoredSlots = { slots: [], damaged: [] };
  const read = async ({ name }: { name: string }) => ({ name, bytes: await getIfThere(store, name) });
  for await (const { name, bytes } of mapAhead(store.list(SLOT_PREFIX), { atOnceMax: READS_MAX }, read)) {
    if (stored.slots.length + stored.damaged.length >= SLOTS_MAX) break;
    if (bytes === null) continue;
    const slot = decodeKeySlot(bytes);
    // A slot under another name than its own was moved there; its content still proves itself, but it is not in its place.
    if (slot !== null && name === SLOT_PREFIX + slot.slot) stored.slots.push(slot);
    else stored.damaged.push(name);
  }
  return stored;
}

/** `null` for one that was removed since it was listed. */
async function getIfThere(store: ObjectStore, name: string): Promise<Buffer | null> {
  try {
    return await store.get(name);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/**
 * Opens the bundle with whichever of the slots fits the credential, and says which it was.
 *
 * A slot of another repository, also of a broken try to create this one, never opens: the repository's id is authenticated with each.
 * Errors: `REPOSITORY_KEY_REJECTED`; those of `readSecret` and of the store.
 */
export async function openBundle(
  reading: Promise<StoredSlots>,
  repositoryId: Uint8Array,
  credential: Credential,
): Promise<{ slot: string; bundle: Buffer }> {
  const secret = await readSecret(credential);
  const stored = await reading;
  for (const slot of stored.slots.filter(({ kind }) => kind === secret.kind)) {
    const bundle = await openKeySlot(repositoryId, slot, secret);
    if (bundle !== null) return { slot: slot.slot, bundle };
  }
  throw keyRejected(secret, stored);
}

function keyRejected(secret: KeySecret, { slots, damaged }: StoredSlots): HoldfastError {
  const name = secret.kind === 'passphrase' ? 'passphrase' : 'key file';
  const fitting = slots.filter(({ kind }) => kind === secret.kind).length;
  const harm =
    damaged.length === 0 ? '' : ` Slots that cannot be read: ${damaged.map((slot) => `"${slot}"`).join(', ')}.`;
  return new HoldfastError('REPOSITORY_KEY_REJECTED', `cannot open the repository with this ${name}`, {
    detail: `${describeFitting(name, fitting, slots.length)}${harm}`,
    hints: [
      secret.kind === 'passphrase'
        ? 'Check HOLDFAST_PASSPHRASE or the file that HOLDFAST_PASSPHRASE_FILE names.'
        : 'Check that HOLDFAST_KEY_FILE names the file that was made for this repository.',
      ...(damaged.length === 0 ? [] : ['Restore the damaged objects under keys/ from a copy of the repository.']),
    ],
  });
}

/** A credential of the wrong kind is another mistake than a wrong one of the right kind. */
function describeFitting(name: string, fitting: number, all: number): string {
  if (all === 0) return 'It has no key slot that can be read.';
  if (fitting === 0) return `Expected a credential of another kind: none of its key slots is for a ${name}.`;
  const tried = fitting === 1 ? `does not fit the one key slot` : `fits none of the ${fitting} key slots`;
  const others = all === fitting ? '' : `; ${all - fitting} more ${all - fitting === 1 ? 'is' : 'are'} of another kind`;
  return `It ${tried} for a ${name}${others}.`;
}
