import { randomBytes } from 'node:crypto';
import { HoldfastError } from '../lib/index.ts';
import {
  encodeKeyBundle,
  formatKeyName,
  isSlotOurs,
  KEY_BYTES,
  type KeyMaterial,
  type KeySlot,
  type KeySlotWithKey,
  listStoredKeys,
  makeEpoch,
  makeGrant,
  openSlotOfVersion1,
  type StoredKeys,
  toLockingSecret,
} from './key/index.ts';
import { addSlotFor, findRemoved, grantNewest, putOnce, replaceSlot } from './key-slots.ts';
import type { Repository } from './repository.ts';

/** What a new epoch would reach, and what stands in its way. */
export interface EpochProposal {
  /** The slots that will be given it. */
  slots: KeySlotWithKey[];
  /** Slots of a form that can only be given it with their secret. The one in use is made anew; others stand in the way. */
  outdated: KeySlot[];
  /** Slots that nobody with the keys has made: they get nothing. */
  foreign: KeySlot[];
  /** Slots that were removed and are still there: they get nothing, and keep what they have. */
  removed: KeySlot[];
}

/** Says which slots a new epoch would be given to. Errors: those of the store. */
export async function proposeEpoch(repository: Repository): Promise<EpochProposal> {
  return sortSlots(repository, await listStoredKeys(repository.store));
}

/** A new epoch that has begun. */
export interface NewEpoch {
  epoch: number;
  /** The ids of the slots that have it. */
  slots: string[];
}

/**
 * Begins a new epoch: draws its key, gives it to every slot that was not removed, and then says that it has begun; from then on it seals.
 *
 * Stopped anywhere before its last step it is as if it had not been: what was given for an epoch that has not begun is never used, and the next try
 * takes another number. Slots that come meanwhile are given it, too. Old objects stay as they are, and readable with the old keys.
 * Errors: `KEY_SLOT_OUTDATED`; `KEY_SLOT_REMOVED`; `KEY_SLOT_CONFLICT` (retryable); those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function beginEpoch(repository: Repository): Promise<NewEpoch> {
  repository.assertWritable();
  await repository.refreshKeys();
  await renewOldSlots(repository);
  const { keys, store, clock, formatSha256 } = repository;
  const stored = await listStoredKeys(store);
  const { slots, outdated, removed } = await sortSlots(repository, stored);
  if (removed.some(({ slot }) => slot === repository.slot)) throw ownSlotRemoved(repository.slot);
  if (outdated.length > 0) throw slotsOutdated(outdated);

  const epoch = freeNumber(stored, keys.currentEpoch);
  const { epochs, ...rest } = keys.material();
  const material: KeyMaterial = { ...rest, epochs: [...epochs, { epoch, key: randomBytes(KEY_BYTES) }] };
  const bundle = encodeKeyBundle({ material, formatSha256 });
  for (const { slot, slotKey } of slots) {
    await putOnce(
      store,
      formatKeyName({ kind: 'grant', slot, epoch }),
      makeGrant(keys, { slot, slotKey }, epoch, bundle),
    );
  }
  const given = slots.map(({ slot }) => slot);
  await repository.settle(given.map((slot) => formatKeyName({ kind: 'grant', slot, epoch })));
  // Last of all: until now nobody uses it, and from now on nobody lacks it.
  const at = new Date(clock.now()).toISOString();
  await putOnce(store, formatKeyName({ kind: 'epoch', epoch }), makeEpoch(keys, epoch, at, given));
  keys.adopt(material);
  return { epoch, slots: [...given, ...(await grantLatecomers(repository, new Set(given)))] };
}

/** A slot that was added while the grants were written: its maker has looked for new epochs before this one began, so it is ours to give. */
async function grantLatecomers(repository: Repository, given: ReadonlySet<string>): Promise<string[]> {
  const { slots } = await sortSlots(repository, await listStoredKeys(repository.store));
  const late = slots.filter(({ slot }) => !given.has(slot));
  for (const slot of late) await grantNewest(repository, slot);
  return late.map(({ slot }) => slot);
}

/**
 * A slot of the first form has no public key. Of the one in use the secret is at hand, so that it can be locked again in the form of today; a try that
 * was stopped has left both.
 */
async function renewOldSlots(repository: Repository): Promise<void> {
  const { keys, secret, store } = repository;
  const { slots } = await listStoredKeys(store);
  for (const old of slots) {
    if (old.version !== 1 || (await openSlotOfVersion1(keys.repositoryId, old, secret)) === null) continue;
    const isInUse = old.slot === repository.slot;
    const added = isInUse ? await addSlotFor(repository, await toLockingSecret(secret), old.label) : repository.slot;
    await replaceSlot(repository, old.slot, added, secret);
  }
}

async function sortSlots(repository: Repository, stored: StoredKeys): Promise<EpochProposal> {
  const marked = await findRemoved(repository, stored);
  const sorted: EpochProposal = { slots: [], outdated: [], foreign: [], removed: [] };
  for (const slot of stored.slots) {
    if (slot.version === 2 && !isSlotOurs(repository.keys, slot)) sorted.foreign.push(slot);
    else if (marked.has(slot.slot)) sorted.removed.push(slot);
    else if (slot.version === 1) sorted.outdated.push(slot);
    else sorted.slots.push(slot);
  }
  return sorted;
}

/** Numbers that anybody has used are passed over: their grants may be of another key. */
function freeNumber({ grants, epochs }: StoredKeys, current: number): number {
  const taken = new Set([...epochs, ...[...grants.values()].flat()]);
  let epoch = current + 1;
  while (taken.has(epoch)) epoch += 1;
  return epoch;
}

function slotsOutdated(slots: readonly KeySlot[]): HoldfastError {
  return new HoldfastError(
    'KEY_SLOT_OUTDATED',
    'cannot begin a new epoch: a key slot of an older form stands in the way',
    {
      detail: `It would be locked out, as it can be given a new epoch only with its secret: ${slots
        .map(({ slot, kind, label }) => `"${slot}" (${kind}, "${label}")`)
        .join(', ')}.`,
      hints: [
        'Run `holdfast keys rotate` for it, where its secret is known or with a new one.',
        'Or remove it with `holdfast keys remove`.',
      ],
    },
  );
}

function ownSlotRemoved(slot: string): HoldfastError {
  return new HoldfastError('KEY_SLOT_REMOVED', `cannot begin a new epoch with key slot "${slot}": it was removed`, {
    detail:
      'It is marked as removed and still there; it would be given no new epoch, and whoever uses it would lock themselves out.',
    hints: ['Open the repository with another key, or rotate this one first.'],
  });
}
