import { assert, HoldfastError } from '../lib/index.ts';
import { KEY_SLOTS_FEATURE, setFeature } from './format/index.ts';
import {
  type EpochName,
  type EpochsInForce,
  epochsOf,
  findCurrentEpoch,
  formatKeyName,
  isInForce,
  isKeyObjectOurs,
  isSlotOurs,
  type KeySecret,
  type KeySlot,
  type LockingSecret,
  listStoredKeys,
  makeGrant,
  makeKeySlot,
  makeRemoval,
  type NewKey,
  openKeys,
  readLockingSecret,
  readRemoval,
  readSecret,
  type SlotKind,
  type StoredKeys,
} from './key/index.ts';
import { getIfThere, type ObjectStore } from './object-store/index.ts';
import type { Repository } from './repository.ts';

/** What people see of a slot. */
export interface SlotInfo {
  slot: string;
  kind: SlotKind;
  label: string;
  createdAt: string;
  /** Whether the repository was opened with it just now. */
  inUse: boolean;
  /**
   * `open`: has the newest keys. `old-form`: made by a version that knew no epochs; it cannot be given a new one without its secret. `left-behind`:
   * lacks the newest epoch. `removed`: marked so, and its object is still there. `foreign`: not made by anybody with the keys of this repository.
   */
  state: 'open' | 'old-form' | 'left-behind' | 'removed' | 'foreign';
  /** The newest epoch that it has; `null` where that cannot be told. */
  epoch: number | null;
  /** Of a slot of age, whom it is for. */
  recipients: readonly string[];
}

/** The slots that are there, and the names of those that cannot be read. What they say is proved only by opening them. */
export async function listSlots(repository: Repository): Promise<{ slots: SlotInfo[]; damaged: string[] }> {
  const stored = await listStoredKeys(repository.store);
  const removed = await findRemoved(repository, stored);
  const current = await currentEpochOf(repository, stored);
  const slots = stored.slots.map((slot): SlotInfo => {
    const { slot: id, kind, label, createdAt } = slot;
    const epoch = epochOf(slot, stored, current);
    const inUse = id === repository.slot;
    const recipients = 'recipients' in slot ? slot.recipients : [];
    return { slot: id, kind, label, createdAt, inUse, state: stateOf(), epoch, recipients };

    function stateOf(): SlotInfo['state'] {
      if (slot.version === 2 && !isSlotOurs(repository.keys, slot)) return 'foreign';
      if (removed.has(id)) return 'removed';
      if (current.epoch > 1 && (epoch ?? 1) < current.epoch) return 'left-behind';
      return slot.version === 1 ? 'old-form' : 'open';
    }
  });
  return { slots, damaged: stored.damaged };
}

/**
 * Lets another key open the repository, too. Gives the id of its slot, which has been opened, where its secret is at hand, before this returns.
 *
 * The bundle is granted before the slot can be seen. Whoever begins an epoch meanwhile either sees the new slot or is seen here, as each writes
 * before it reads.
 * Errors: those of the credential and of the store; `KEY_SLOT_UNPROVEN`; `REPOSITORY_READ_ONLY`.
 */
export async function addSlot(repository: Repository, key: NewKey, label: string): Promise<string> {
  repository.assertWritable();
  const slot = await addSlotFor(repository, await readLockingSecret(key), label);
  await proveSlot(repository, slot, key);
  return slot;
}

/** The same without the proof, for a secret that was just used. */
export async function addSlotFor(repository: Repository, secret: LockingSecret, label: string): Promise<string> {
  const { keys, store, clock } = repository;
  const createdAt = new Date(clock.now()).toISOString();
  const { slot, pair, bytes } = await makeKeySlot({ keys, secret, label, createdAt });
  await setFeature(store, KEY_SLOTS_FEATURE);
  const to = { slot, slotKey: pair.publicKey };
  const granted = keys.currentEpoch;
  await grantNewest(repository, to);
  await putOnce(store, formatKeyName({ kind: 'slot', slot }), bytes);
  if ((await repository.refreshKeys()) === 'renewed' && keys.currentEpoch > granted) await grantNewest(repository, to);
  return slot;
}

/** Gives a slot the bundle that the repository has now. Safe to repeat. Errors: those of the store. */
export async function grantNewest(repository: Repository, to: { slot: string; slotKey: Uint8Array }): Promise<void> {
  const { keys, store, formatSha256 } = repository;
  const { name, bytes } = makeGrant(keys, to, { material: keys.material(), formatSha256 });
  if ((await store.putIfAbsent(name, bytes)) === 'created') return;
  // Whoever begins this epoch may have given it to the slot already, and whose answer was lost has done so itself.
  if (!isKeyObjectOurs(keys, name, await store.get(name))) throw slotConflict(name);
}

/** Where an object that was to be removed still lies, as it may not be deleted there. */
export interface LeftObject {
  place: string;
  name: string;
}

/**
 * Removes a slot, but never the one with which the repository was opened: so the last slot that is known to open cannot go.
 *
 * It is marked first, so that it is given no further epoch, and then deleted in every place where that is allowed. What was sealed stays readable
 * to whoever kept the bundle, or the slot's objects and its secret; only a new epoch protects what comes after.
 * Errors: `KEY_SLOT_IN_USE`; `KEY_SLOT_ABSENT`; `KEY_SLOT_CONFLICT`; those of the store.
 */
export async function removeSlot(repository: Repository, slot: string): Promise<{ left: LeftObject[] }> {
  repository.assertWritable();
  if (slot === repository.slot) throw slotInUse(slot);
  const stored = await listStoredKeys(repository.store);
  if (!hasAnything(stored, slot)) throw slotAbsent('remove', slot);
  return dropSlot(repository, slot, null, stored);
}

/**
 * Puts another key in the place of a slot: the new slot is made and opened first, then the old one is removed as by `removeSlot`.
 *
 * It may be the slot in use; then the repository goes on with the new one. Errors: those of `addSlot` and `removeSlot` but `KEY_SLOT_IN_USE`;
 * `KEY_SLOT_UNPROVEN` for a key whose secret is not at hand, when the old slot is the one in use.
 */
export async function rotateSlot(
  repository: Repository,
  slot: string,
  key: NewKey,
  label: string,
): Promise<{ slot: string; left: LeftObject[] }> {
  repository.assertWritable();
  const stored = await listStoredKeys(repository.store);
  if (!hasAnything(stored, slot)) throw slotAbsent('rotate', slot);
  if (slot === repository.slot && key.kind === 'age-recipients') {
    throw new HoldfastError(
      'KEY_SLOT_UNPROVEN',
      `cannot rotate key slot "${slot}" to recipients whose identities are not here`,
      {
        detail: 'It is the slot in use, and nobody has shown that the new one opens.',
        hints: ['Add the recipients, open the repository with their identity once, and remove the old slot then.'],
      },
    );
  }
  const added = await addSlot(repository, key, label);
  const secret = key.kind === 'age-recipients' ? null : await readSecret(key);
  const { left } = await replaceSlot(repository, slot, added, secret);
  return { slot: added, left };
}

/** Removes a slot in whose place another one came; `secret` opens that one, and the repository goes on with it where the old one was in use. */
export async function replaceSlot(
  repository: Repository,
  old: string,
  added: string,
  secret: KeySecret | null,
): Promise<{ left: LeftObject[] }> {
  if (old === repository.slot) {
    assert(secret !== null, 'a slot in use is replaced by one that was opened');
    repository.goOnWith(added, secret);
  }
  return dropSlot(repository, old, added, await listStoredKeys(repository.store));
}

/** The marks of removal that whoever has the keys has made. Others count for nothing: anybody who can write could lock a slot out. */
export async function findRemoved(repository: Repository, stored: StoredKeys): Promise<Set<string>> {
  const signer = repository.keys.publicKey;
  const removed = new Set<string>();
  for (const slot of stored.removed) {
    const bytes = await getIfThere(repository.store, formatKeyName({ kind: 'removal', slot }));
    if (bytes !== null && readRemoval(bytes, signer)?.slot === slot) removed.add(slot);
  }
  return removed;
}

/** Stores an object under a name that is its own. Errors: `KEY_SLOT_CONFLICT` when somebody else's lies there; those of the store. */
export async function putOnce(store: ObjectStore, name: string, bytes: Uint8Array): Promise<void> {
  if (!(await putFirst(store, name, bytes))) throw slotConflict(name);
}

/** Stores an object under a name for which others may be faster; whether it is ours that lies there now. Errors: those of the store. */
export async function putFirst(store: ObjectStore, name: string, bytes: Uint8Array): Promise<boolean> {
  if ((await store.putIfAbsent(name, bytes)) === 'created') return true;
  // Our own, if an answer was lost and the call repeated.
  return (await store.get(name)).equals(bytes);
}

export function slotConflict(name: string): HoldfastError {
  return new HoldfastError('KEY_SLOT_CONFLICT', `could not write "${name}": something else lies there`, {
    detail: 'Expected a free name. Somebody else changes keys now, or somebody without the keys has written there.',
    hints: ['Look at the slots with `holdfast keys list`, and run the command again.'],
    retryable: true,
  });
}

async function dropSlot(
  repository: Repository,
  slot: string,
  replacedBy: string | null,
  stored: StoredKeys,
): Promise<{ left: LeftObject[] }> {
  const { keys, store, clock } = repository;
  const current = await currentEpochOf(repository, stored);
  const needed = [
    formatKeyName({ kind: 'slot', slot: repository.slot }),
    ...grantsInForce(repository.slot, stored, current).map((each) =>
      formatKeyName({ kind: 'grant', slot: repository.slot, ...each }),
    ),
  ];
  await repository.settle(needed);
  const mark = formatKeyName({ kind: 'removal', slot });
  if (!(await findRemoved(repository, stored)).has(slot)) {
    await putOnce(store, mark, makeRemoval(keys, slot, new Date(clock.now()).toISOString(), replacedBy));
  }
  await checkOwnSlotStays(repository, slot);
  return { left: await deleteEverywhere(store, slot, needed) };
}

/** Somebody may remove our slot while we remove theirs. Each marks, then looks: so at most one goes on to delete. */
async function checkOwnSlotStays(repository: Repository, slot: string): Promise<void> {
  const stored = await listStoredKeys(repository.store);
  const isThere = stored.slots.some((each) => each.slot === repository.slot);
  const isMarked = (await findRemoved(repository, stored)).has(repository.slot);
  if (isThere && !isMarked) return;
  throw new HoldfastError(
    'KEY_SLOT_CONFLICT',
    `cannot remove key slot "${slot}": the slot in use was removed meanwhile`,
    {
      detail: `Expected slot "${repository.slot}" to be there, found that somebody else has removed it; "${slot}" was marked and not deleted, and still opens.`,
      hints: ['Open the repository with the other key, look at its slots, and add those that you miss again.'],
    },
  );
}

/**
 * Every place of a repository with copies has the slot, and a deletion in one is none in the others. A place that lacks the slot in use keeps the old
 * one: were the others lost, nothing would open it.
 */
async function deleteEverywhere(store: ObjectStore, slot: string, needed: readonly string[]): Promise<LeftObject[]> {
  const left: LeftObject[] = [];
  for (const place of placesOf(store)) {
    for (const name of await listOfSlot(place, slot)) {
      // What cannot be deleted can only be told: the slot is marked.
      await deleteWhereAllowed(async () => {
        if (await hasAll(place, needed)) await place.delete(name);
      });
      if (await isStillThere(place, name)) left.push({ place: place.description, name });
    }
  }
  return left;
}

/** Takes back from every place what nobody was told of; where that may not be done it lies there and is used by nobody. Errors: none of the store. */
export async function takeBack(store: ObjectStore, names: readonly string[]): Promise<void> {
  for (const place of placesOf(store)) {
    for (const name of names) await deleteWhereAllowed(() => place.delete(name));
  }
}

/** No right to delete, a lock, or a place that is away: the caller goes on without. */
async function deleteWhereAllowed(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
  }
}

function placesOf(store: ObjectStore): ObjectStore[] {
  return store.places?.map((each) => each.store) ?? [store];
}

/** What a place has of a slot, but its mark: the slot first, as without it nothing that is left can be opened. */
async function listOfSlot(place: ObjectStore, slot: string): Promise<string[]> {
  const own = formatKeyName({ kind: 'slot', slot });
  try {
    const names: string[] = [];
    for await (const { name } of place.list(own)) names.push(name);
    return names.filter((name) => name !== formatKeyName({ kind: 'removal', slot }));
  } catch (error) {
    // A copy that is away keeps it until this is done again.
    if (error instanceof HoldfastError) return [own];
    throw error;
  }
}

async function hasAll(place: ObjectStore, names: readonly string[]): Promise<boolean> {
  for (const name of names) if ((await place.stat(name)) === null) return false;
  return true;
}

async function isStillThere(store: ObjectStore, name: string): Promise<boolean> {
  try {
    return (await store.stat(name)) !== null;
  } catch (error) {
    if (error instanceof HoldfastError) return true;
    throw error;
  }
}

async function proveSlot(repository: Repository, slot: string, key: NewKey): Promise<void> {
  if (key.kind === 'age-recipients') return;
  const opened = await openKeys(repository.store, repository.keys.repositoryId, await readSecret(key), { only: slot });
  if (opened.slot === slot) return;
  throw new HoldfastError('KEY_SLOT_UNPROVEN', `cannot open the key slot "${slot}" that was just made`, {
    detail: 'What was read back does not open with its own secret.',
  });
}

function hasAnything(stored: StoredKeys, slot: string): boolean {
  return (
    // Removed before, and perhaps still in a copy.
    stored.removed.has(slot) ||
    stored.slots.some((each) => each.slot === slot) ||
    stored.damaged.includes(formatKeyName({ kind: 'slot', slot })) ||
    stored.grants.has(slot)
  );
}

/** The newest of what the marks say and what this process has: a mark may be out of reach. */
async function currentEpochOf(repository: Repository, stored: StoredKeys): Promise<EpochsInForce> {
  const { keys, store } = repository;
  const begun = await findCurrentEpoch(store, stored.epochs, keys.publicKey);
  return begun !== null && begun.epoch >= keys.currentEpoch ? begun : epochsOf(keys.material());
}

function epochOf({ version, slot }: KeySlot, stored: StoredKeys, current: EpochsInForce): number | null {
  return version === 1 ? null : (grantsInForce(slot, stored, current).at(-1)?.epoch ?? null);
}

function grantsInForce(slot: string, stored: StoredKeys, current: EpochsInForce): EpochName[] {
  return (stored.grants.get(slot) ?? []).filter((each) => isInForce(current, each));
}

function slotAbsent(action: 'remove' | 'rotate', slot: string): HoldfastError {
  return new HoldfastError('KEY_SLOT_ABSENT', `cannot ${action} key slot "${slot}": there is none`, {
    detail: 'Expected the id of a slot, 32 hexadecimal digits.',
    hints: ['Run `holdfast keys list`.'],
  });
}

function slotInUse(slot: string): HoldfastError {
  return new HoldfastError('KEY_SLOT_IN_USE', `cannot remove key slot "${slot}": the repository was opened with it`, {
    detail: 'A slot is removed only by somebody who has just shown another key that works.',
    hints: ['Open the repository with another key, after adding one if this is the only one.'],
  });
}
