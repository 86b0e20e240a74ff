import { codeOf, HoldfastError } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import type { KeySecret } from './credential.ts';
import { type EpochName, type EpochsInForce, FIRST_EPOCH, isInForce, nameEpochs } from './epoch-name.ts';
import { decodeKeyBundle, type KeyBundle } from './key-bundle.ts';
import { formatKeyName } from './key-names.ts';
import { openGrant } from './key-records.ts';
import { type KeySlotWithKey, openSlotOfVersion1, openSlotOfVersion2 } from './key-slot.ts';
import { signingKeyOf } from './ring/index.ts';
import { findCurrentEpoch, getProved, listStoredKeys, type StoredKeys } from './stored-keys.ts';

/** What a secret opened. */
export interface OpenedKeys {
  slot: string;
  /** The form of the slot, as `docs/design.md` 3 counts them. */
  version: 1 | 2;
  bundle: KeyBundle;
  /** The epoch that has begun without this slot; `null` when the slot has the newest. */
  leftBehind: number | null;
  secret: KeySecret;
}

/**
 * Opens the newest bundle with whichever slot fits the secret, and says which it was.
 *
 * Slots that were not removed come first, and those of the newer form. A slot of another repository, also of a broken try to create this one, never opens: the repository's id
 * is authenticated with each. `only`: the one slot to try; `stored`: what lies there,
 * when it was asked for already.
 * Errors: `REPOSITORY_KEY_REJECTED`; `KEY_SLOT_FORGED`; `KEY_COMMAND_FAILED`; `KEY_BUNDLE_UNRECOGNIZED`; those of the store.
 */
export async function openKeys(
  store: ObjectStore,
  repositoryId: Uint8Array,
  secret: KeySecret,
  options: { only?: string; stored?: Promise<StoredKeys> } = {},
): Promise<OpenedKeys> {
  const stored = await (options.stored ?? listStoredKeys(store));
  const found: OpenedKeys[] = [];
  let commandFailed: unknown = null;
  const fitting = inOrder(stored).filter(({ kind }) => kind === secret.kind);
  for (const slot of fitting.filter((each) => options.only === undefined || each.slot === options.only)) {
    try {
      const opened =
        slot.version === 1
          ? await openOldSlot(store, repositoryId, slot, secret, stored)
          : await openSlot(store, repositoryId, slot, secret, stored);
      if (opened !== null) found.push(opened);
    } catch (error) {
      // A key service refuses what another of its keys wrapped: one of the other slots may be meant.
      if (codeOf(error) !== 'KEY_COMMAND_FAILED') throw error;
      commandFailed ??= error;
    }
    // Only who knows the secret can lock a slot by it. For the other kinds anybody can, so that all of them are asked.
    if (found.length > 0 && (secret.kind === 'passphrase' || secret.kind === 'key-file')) break;
  }
  const [first] = found;
  if (first === undefined) throw commandFailed ?? keyRejected(secret, stored);
  refuseForged(found);
  return found.find(({ leftBehind }) => leftBehind === null) ?? first;
}

function inOrder({ slots, removed }: StoredKeys): StoredKeys['slots'] {
  return [...slots].sort((a, b) => Number(removed.has(a.slot)) - Number(removed.has(b.slot)) || b.version - a.version);
}

async function openOldSlot(
  store: ObjectStore,
  repositoryId: Uint8Array,
  slot: Parameters<typeof openSlotOfVersion1>[1],
  secret: KeySecret,
  stored: StoredKeys,
): Promise<OpenedKeys | null> {
  const bytes = await openSlotOfVersion1(repositoryId, slot, secret);
  if (bytes === null) return null;
  const bundle = decodeKeyBundle(bytes, repositoryId);
  const signer = signingKeyOf(bundle.material.signingSeed);
  const current = await findCurrentEpoch(store, stored.epochs, signer);
  return { slot: slot.slot, version: 1, bundle, leftBehind: current?.epoch ?? null, secret };
}

async function openSlot(
  store: ObjectStore,
  repositoryId: Uint8Array,
  slot: KeySlotWithKey,
  secret: KeySecret,
  stored: StoredKeys,
): Promise<OpenedKeys | null> {
  const pair = await openSlotOfVersion2(repositoryId, slot, secret);
  if (pair === null) return null;
  const signer = slot.publicKey;
  const [begun, given] = await Promise.all([
    findCurrentEpoch(store, stored.epochs, signer),
    Promise.all((stored.grants.get(slot.slot) ?? []).map(openBundle)),
  ]);
  const current = begun ?? FIRST_EPOCH;
  const sound = given.filter(
    // What was given for an epoch that never began seals nothing, and other slots may lack it.
    (bundle) => bundle !== null && isInForce(current, newestOf(bundle)),
  ) as KeyBundle[];
  const newest = sound.at(-1);
  if (newest === undefined) return null;
  const leftBehind = newestOf(newest).epoch < current.epoch ? current.epoch : null;
  return { slot: slot.slot, version: 2, bundle: joinBundles(sound, current), leftBehind, secret };

  async function openBundle(granted: EpochName): Promise<KeyBundle | null> {
    const name = formatKeyName({ kind: 'grant', slot: slot.slot, ...granted });
    const opened = await getProved(store, name, (bytes) =>
      openGrant(bytes, { repositoryId, granted: { slot: slot.slot, ...granted }, pair: pair!, signer }),
    );
    if (opened === null || opened === 'damaged') return null;
    const bundle = decodeKeyBundle(opened, repositoryId);
    const isAsNamed = newestOf(bundle).fingerprint === granted.fingerprint;
    return isAsNamed && signingKeyOf(bundle.material.signingSeed).equals(signer) ? bundle : null;
  }
}

function newestOf({ material }: KeyBundle): EpochName {
  return nameEpochs(material).at(-1)!;
}

/** The newest bundle has all epochs, but one whose mark could not be read when the next one began: that is in its own bundle alone. */
function joinBundles(bundles: readonly KeyBundle[], current: EpochsInForce): KeyBundle {
  const last = bundles.at(-1)!;
  const epochs = new Map<number, KeyBundle['material']['epochs'][number]>();
  for (const { material } of bundles) {
    const names = new Map(nameEpochs(material).map((name) => [name.epoch, name]));
    for (const each of material.epochs) if (isInForce(current, names.get(each.epoch)!)) epochs.set(each.epoch, each);
  }
  return { ...last, material: { ...last.material, epochs: [...epochs.values()].sort((a, b) => a.epoch - b.epoch) } };
}

/** To a public key anybody can lock a slot of their own, with keys that they know: what we would seal with those, they could read. */
function refuseForged(found: readonly OpenedKeys[]): void {
  const signers = new Set(found.map(({ bundle }) => signingKeyOf(bundle.material.signingSeed).toString('hex')));
  if (signers.size === 1) return;
  const names = found.map(({ slot }) => `"keys/${slot}"`).join(', ');
  throw new HoldfastError('KEY_SLOT_FORGED', 'cannot tell which keys of the repository are the true ones', {
    detail: `Expected one set of keys, found different ones in ${names}: somebody who can write to the store has planted one.`,
    hints: [
      'Compare the signing key of each with the recovery kit, or open the repository with a passphrase or a key file, which nobody else can forge.',
      'Find out who could write to the store; nothing was read or written.',
    ],
  });
}

/** Refuses `action` to a key that lacks an epoch which has begun. */
export function keyLeftBehind(action: string, slot: string, epoch: number): HoldfastError {
  return new HoldfastError('KEY_EPOCH_BEHIND', `cannot ${action} with key slot "${slot}": it was left behind`, {
    detail: `Expected a key that was given epoch ${epoch}, found one that was not: it was removed, or it was added by an older version meanwhile.`,
    hints: [
      'Open the repository with another key; `holdfast keys list` says which have the newest epoch.',
      'With this one, what was stored before that epoch can still be read.',
    ],
  });
}

const SECRET_NAMES = {
  passphrase: 'passphrase',
  'key-file': 'key file',
  age: 'age identity',
  command: 'key command',
} as const;

const SECRET_HINTS = {
  passphrase: 'Check HOLDFAST_PASSPHRASE or the file that HOLDFAST_PASSPHRASE_FILE names.',
  'key-file': 'Check that HOLDFAST_KEY_FILE names the file that was made for this repository.',
  age: 'Check that HOLDFAST_AGE_IDENTITY names the file with the identity that the slot was made for.',
  command: 'Check that HOLDFAST_KEY_COMMAND asks the key service and the key that the slot was made with.',
} as const;

function keyRejected(secret: KeySecret, { slots, damaged }: StoredKeys): HoldfastError {
  const name = SECRET_NAMES[secret.kind];
  const fitting = slots.filter(({ kind }) => kind === secret.kind).length;
  const harm =
    damaged.length === 0 ? '' : ` Slots that cannot be read: ${damaged.map((slot) => `"${slot}"`).join(', ')}.`;
  return new HoldfastError('REPOSITORY_KEY_REJECTED', `cannot open the repository with this ${name}`, {
    detail: `${describeFitting(name, fitting, slots.length)}${harm}`,
    hints: [
      SECRET_HINTS[secret.kind],
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
