import { EPOCH_FINGERPRINT_BYTES, type EpochName } from './epoch-name.ts';

/** Names under `keys/`: a slot, what it was given by epoch, that it was removed, and which epochs have begun. */
export const SLOT_PREFIX = 'keys/';

/** Eight digits, so that they sort; no repository comes near. */
const EPOCH_DIGITS = 8;

export type KeyName =
  | { kind: 'slot'; slot: string }
  | ({ kind: 'grant'; slot: string } & EpochName)
  | { kind: 'removal'; slot: string }
  | { kind: 'epoch'; epoch: number };

export function formatKeyName(name: KeyName): string {
  switch (name.kind) {
    case 'slot':
      return SLOT_PREFIX + name.slot;
    case 'grant':
      return `${SLOT_PREFIX}${name.slot}.${formatEpoch(name.epoch)}.${name.fingerprint}`;
    case 'removal':
      return `${SLOT_PREFIX}${name.slot}.removed`;
    case 'epoch':
      return `${SLOT_PREFIX}epoch.${formatEpoch(name.epoch)}`;
  }
}

/** Reverses `formatKeyName`; `null` for a name that nobody makes. */
export function parseKeyName(name: string): KeyName | null {
  const [, slot, rest, fingerprint] = /^keys\/([0-9a-f]{32})(?:\.([0-9a-z]+)(?:\.([0-9a-f]+))?)?$/.exec(name) ?? [];
  if (slot !== undefined) {
    if (rest === undefined) return { kind: 'slot', slot };
    if (fingerprint === undefined) return rest === 'removed' ? { kind: 'removal', slot } : null;
    const epoch = parseEpoch(rest);
    if (epoch === null || fingerprint.length !== 2 * EPOCH_FINGERPRINT_BYTES) return null;
    return { kind: 'grant', slot, epoch, fingerprint };
  }
  const epoch = parseEpoch(/^keys\/epoch\.([0-9]+)$/.exec(name)?.[1] ?? '');
  return epoch === null ? null : { kind: 'epoch', epoch };
}

function formatEpoch(epoch: number): string {
  return String(epoch).padStart(EPOCH_DIGITS, '0');
}

function parseEpoch(text: string): number | null {
  return /^[0-9]{8}$/.test(text) && Number(text) > 0 ? Number(text) : null;
}
