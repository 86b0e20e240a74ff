import { randomBytes } from 'node:crypto';
import { HoldfastError } from '../lib/index.ts';
import {
  findCurrentEpoch,
  formatKeyName,
  isSlotOurs,
  KEY_BYTES,
  type KeyMaterial,
  type KeySlot,
  type KeySlotWithKey,
  keyLeftBehind,
  listStoredKeys,
  makeEpoch,
  makeGrant,
  nameEpochs,
  openSlotOfVersion1,
  type StoredKeys,
  toLockingSecret,
} from './key/index.ts';
import {
  addSlotFor,
  findRemoved,
  grantNewest,
  putFirst,
  putOnce,
  replaceSlot,
  slotConflict,
  takeBack,
} from './key-slots.ts';
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
 * Stopped anywhere before its last step it is as if it had not been: what was given for an epoch that has not begun is never used. Slots that come
 * meanwhile are given it, too. Old objects stay as they are, and readable with the old keys. Of two who do this at once one begins the epoch; the
 * other takes back what it gave and goes on with the epoch that began.
 * Errors: `KEY_EPOCH_CONFLICT` (retryable); `KEY_EPOCH_BEHIND`; `KEY_SLOT_OUTDATED`; `KEY_SLOT_REMOVED`; `KEY_SLOT_CONFLICT` (retryable); those of
 * the store; `REPOSITORY_READ_ONLY`.
 */
export async function beginEpoch(repository: Repository): Promise<NewEpoch> {
  repository.assertWritable();
  const { keys, store, clock, formatSha256 } = repository;
  // Listed before newer keys are asked for: a mark that is here then and brings none is one that says nothing.
  const before = await listStoredKeys(store);
  if ((await repository.refreshKeys()) === 'left-behind') throw await ownSlotLeftBehind(repository, before);
  await renewOldSlots(repository, before);
  const { slots, outdated, removed } = await proposeEpoch(repository);
  if (removed.some(({ slot }) => slot === repository.slot)) throw ownSlotRemoved(repository.slot);
  if (outdated.length > 0) throw slotsOutdated(outdated);

  const material = drawEpoch(keys.material(), freeNumber(before, keys.currentEpoch));
  const names = nameEpochs(material);
  const { epoch } = names.at(-1)!;
  const given = slots.map(({ slot }) => slot);
  const grants = slots.map((slot) => makeGrant(keys, slot, { material, formatSha256 }));
  for (const { name, bytes } of grants) await putOnce(store, name, bytes);
  await repository.settle(grants.map(({ name }) => name));
  // Last of all: until now nobody uses it, and from now on nobody lacks it. Whose mark is the first, theirs is the key.
  const mark = formatKeyName({ kind: 'epoch', epoch });
  if (!(await putFirst(store, mark, makeEpoch(keys, names, new Date(clock.now()).toISOString(), given)))) {
    await takeBack(
      store,
      grants.map(({ name }) => name),
    );
    throw (await repository.refreshKeys()) === 'same' ? slotConflict(mark) : epochLost(epoch);
  }
  keys.adopt(material);
  return { epoch, slots: [...given, ...(await grantLatecomers(repository, new Set(given)))] };
}

function drawEpoch({ epochs, ...rest }: KeyMaterial, epoch: number): KeyMaterial {
  return { ...rest, epochs: [...epochs, { epoch, key: randomBytes(KEY_BYTES) }] };
}

/** A slot that was added while the grants were written: its maker has looked for new epochs before this one began, so it is ours to give. */
async function grantLatecomers(repository: Repository, given: ReadonlySet<string>): Promise<string[]> {
  const { slots } = await proposeEpoch(repository);
  const late = slots.filter(({ slot }) => !given.has(slot));
  for (const slot of late) await grantNewest(repository, slot);
  return late.map(({ slot }) => slot);
}

/**
 * A slot of the first form has no public key. Of the one in use the secret is at hand, so that it can be locked again in the form of today; a try that
 * was stopped has left both.
 */
async function renewOldSlots(repository: Repository, { slots }: StoredKeys): Promise<void> {
  const { keys, secret } = repository;
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

/** The next number whose mark can still be made: where something lies that is no mark of ours, none can. */
function freeNumber({ epochs }: StoredKeys, current: number): number {
  let epoch = current + 1;
  while (epochs.includes(epoch)) epoch += 1;
  return epoch;
}

function epochLost(epoch: number): HoldfastError {
  return new HoldfastError(
    'KEY_EPOCH_CONFLICT',
    `could not begin key epoch ${epoch}: somebody else has just begun it`,
    {
      detail:
        'Expected to be the only one who begins an epoch now. The other one was faster: theirs has begun, and the key that was drawn here seals nothing.',
      hints: [
        'Run the command again if a key was removed just before: whoever was faster may have given it their epoch.',
        'Run `holdfast keys list` to see the epoch and who has it.',
      ],
      retryable: true,
    },
  );
}

async function ownSlotLeftBehind({ keys, slot, store }: Repository, stored: StoredKeys): Promise<HoldfastError> {
  const begun = await findCurrentEpoch(store, stored.epochs, keys.publicKey);
  return keyLeftBehind('begin a new epoch', slot, begun?.epoch ?? keys.currentEpoch + 1);
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
