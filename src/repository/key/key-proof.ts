import { parseKeyName } from './key-names.ts';
import { isGrantFor, readEpoch, readRemoval } from './key-records.ts';
import { decodeKeySlot, isSlotOurs } from './key-slot.ts';
import type { KeyRing } from './ring/index.ts';

/**
 * Whether the bytes of an object under `keys/` are what this repository has signed under that name. A slot of the first form proves itself only to its
 * secret: of it the form counts.
 */
export function isKeyObjectOurs(keys: KeyRing, name: string, bytes: Uint8Array): boolean {
  const parsed = parseKeyName(name);
  switch (parsed?.kind) {
    case 'slot': {
      const slot = decodeKeySlot(bytes);
      return slot !== null && slot.slot === parsed.slot && (slot.version === 1 || isSlotOurs(keys, slot));
    }
    case 'grant':
      return isGrantFor(bytes, parsed, keys.publicKey);
    case 'epoch':
      return readEpoch(bytes, keys.publicKey)?.epoch === parsed.epoch;
    case 'removal':
      return readRemoval(bytes, keys.publicKey)?.slot === parsed.slot;
    case undefined:
      return false;
  }
}
