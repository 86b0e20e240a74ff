import { inLanes } from '../../lib/index.ts';
import { damagedObject } from '../codec/index.ts';
import { isAbsent, isDamageOfOnePlace, type ObjectStore, readProved } from '../object-store/index.ts';
import type { EpochName } from './epoch-name.ts';
import { formatKeyName, type KeyName, parseKeyName, SLOT_PREFIX } from './key-names.ts';
import { type KeyEpoch, readEpoch } from './key-records.ts';
import { decodeKeySlot, isSlotWhole, type KeySlot } from './key-slot.ts';

/** More slots than people and machines have keys; a store that lists more was tampered with, and each costs a derivation. */
const SLOTS_MAX = 256;
/** Slots are asked for together, as each is a small object far away. */
const SLOTS_AT_ONCE = 16;

/** What lies under `keys/`. Of all this only names were looked at, and that slots are as whoever made them has signed them; who that was is not proved. */
export interface StoredKeys {
  slots: KeySlot[];
  /** Names of what cannot be read, and of what nobody writes there. */
  damaged: string[];
  /** The epochs whose bundles a slot was given, by its id, the oldest first; of those that never began, too. */
  grants: Map<string, EpochName[]>;
  /** Slots that bear a mark of removal. */
  removed: Set<string>;
  /** Numbers of the epochs that are said to have begun, the newest first. */
  epochs: number[];
}

/** Lists `keys/` and reads every slot. Errors: those of the store. */
export async function listStoredKeys(store: ObjectStore): Promise<StoredKeys> {
  const stored: StoredKeys = { slots: [], damaged: [], grants: new Map(), removed: new Set(), epochs: [] };
  const slots: string[] = [];
  for await (const { name } of store.list(SLOT_PREFIX)) {
    const parsed = parseKeyName(name);
    if (parsed === null) stored.damaged.push(name);
    else if (parsed.kind === 'slot') slots.push(parsed.slot);
    else noteName(stored, parsed);
  }
  stored.epochs.reverse();
  await inLanes(SLOTS_AT_ONCE, slots.slice(0, SLOTS_MAX), (slot) => readSlot(store, slot, stored));
  stored.slots.sort((a, b) => (a.slot < b.slot ? -1 : 1));
  stored.damaged.sort();
  return stored;
}

/**
 * The newest epoch that has begun, by the word of whoever has the signing key; `null` before the first change. A mark that is damaged or forged is
 * passed over, as anybody can make one.
 */
export async function findCurrentEpoch(
  store: ObjectStore,
  epochs: readonly number[],
  signer: Uint8Array,
): Promise<KeyEpoch | null> {
  for (const epoch of epochs) {
    const read = await getProved(store, formatKeyName({ kind: 'epoch', epoch }), (bytes) => readEpoch(bytes, signer));
    if (read !== null && read !== 'damaged' && read.epoch === epoch) return read;
  }
  return null;
}

/**
 * What `read` makes of an object, `null` when it was removed since it was listed; where `read` gives `null` the object is damaged, and the copies of
 * the repository are asked for it.
 */
export async function getProved<T>(
  store: ObjectStore,
  name: string,
  read: (bytes: Buffer) => T | null,
): Promise<T | 'damaged' | null> {
  try {
    return await readProved(store, name, async (from) => {
      const value = read(await from.get(name));
      if (value === null) throw damagedObject(name, 'It is no key object as it was written.');
      return value;
    });
  } catch (error) {
    if (isAbsent(error)) return null;
    if (isDamageOfOnePlace(error)) return 'damaged';
    throw error;
  }
}

function noteName(stored: StoredKeys, name: Exclude<KeyName, { kind: 'slot' }>): void {
  if (name.kind === 'removal') stored.removed.add(name.slot);
  else if (name.kind === 'epoch') stored.epochs.push(name.epoch);
  else {
    const { slot, epoch, fingerprint } = name;
    stored.grants.set(slot, [...(stored.grants.get(slot) ?? []), { epoch, fingerprint }]);
  }
}

async function readSlot(store: ObjectStore, id: string, stored: StoredKeys): Promise<void> {
  const name = formatKeyName({ kind: 'slot', slot: id });
  const slot = await getProved(store, name, (bytes) => {
    const read = decodeKeySlot(bytes);
    // A slot under another name than its own was moved there; its content still proves itself, but it is not in its place.
    return read !== null && read.slot === id && isSlotWhole(read) ? read : null;
  });
  if (slot === 'damaged') stored.damaged.push(name);
  else if (slot !== null) stored.slots.push(slot);
}
