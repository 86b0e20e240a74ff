import { HoldfastError } from '../lib/index.ts';
import {
  type Credential,
  encodeKeyBundle,
  listStoredSlots,
  readSecret,
  SLOT_PREFIX,
  sealKeySlot,
} from './key/index.ts';
import type { Repository } from './repository.ts';

/** What people see of a slot. */
export interface SlotInfo {
  slot: string;
  kind: Credential['kind'];
  label: string;
  createdAt: string;
  /** Whether the repository was opened with it just now. */
  inUse: boolean;
}

/** The slots that are there, and the names of those that cannot be read. What they say is proved only by opening them. */
export async function listSlots(repository: Repository): Promise<{ slots: SlotInfo[]; damaged: string[] }> {
  const { slots, damaged } = await listStoredSlots(repository.store);
  const shown = slots.map(({ slot, kind, label, createdAt }) => ({
    slot,
    kind,
    label,
    createdAt,
    inUse: slot === repository.slot,
  }));
  return { slots: shown, damaged };
}

/** Wraps the repository's keys for another credential, too. Gives the id of the slot. Errors: those of the credential and of the store. */
export async function addSlot(repository: Repository, credential: Credential, label: string): Promise<string> {
  repository.assertWritable();
  const secret = await readSecret(credential);
  const bundle = encodeKeyBundle({ material: repository.keys.material(), formatSha256: repository.formatSha256 });
  const createdAt = new Date(repository.clock.now()).toISOString();
  const { slot, bytes } = await sealKeySlot({
    repositoryId: repository.keys.repositoryId,
    secret,
    bundle,
    label,
    createdAt,
  });
  await repository.store.putIfAbsent(SLOT_PREFIX + slot, bytes);
  return slot;
}

/**
 * Removes a slot, but never the one with which the repository was opened: so the last slot that is known to open cannot go.
 *
 * What was sealed stays readable to whoever kept the key bundle; only a new epoch ends that.
 * Errors: `KEY_SLOT_IN_USE`; `KEY_SLOT_ABSENT`; `KEY_SLOT_CONFLICT`; those of the store.
 */
export async function removeSlot(repository: Repository, slot: string): Promise<void> {
  repository.assertWritable();
  const { store } = repository;
  if (slot === repository.slot) throw slotInUse(slot);
  const name = SLOT_PREFIX + slot;
  if (!/^[0-9a-f]{32}$/.test(slot) || (await store.stat(name)) === null) {
    throw new HoldfastError('KEY_SLOT_ABSENT', `cannot remove key slot "${slot}": there is none`, {
      detail: 'Expected the id of a slot, 32 hexadecimal digits.',
    });
  }
  const bytes = await store.get(name);
  await store.delete(name);
  if ((await store.stat(SLOT_PREFIX + repository.slot)) !== null) return;
  // Somebody removed our slot while we removed theirs: both put back what they took, rather than lock everybody out.
  await store.putIfAbsent(name, bytes);
  throw new HoldfastError(
    'KEY_SLOT_CONFLICT',
    `cannot remove key slot "${slot}": the slot in use was removed meanwhile`,
    {
      detail: `Expected slot "${repository.slot}" to be there, found that it is gone; "${slot}" was put back.`,
      hints: ['Open the repository with the other key and look at its slots.'],
    },
  );
}

function slotInUse(slot: string): HoldfastError {
  return new HoldfastError('KEY_SLOT_IN_USE', `cannot remove key slot "${slot}": the repository was opened with it`, {
    detail: 'A slot is removed only by somebody who has just shown another key that works.',
    hints: ['Open the repository with another key, after adding one if this is the only one.'],
  });
}
