import { type Ledger, openLedger } from '../../ledger/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import {
  addSlot,
  beginEpoch,
  type JsonObject,
  type LeftObject,
  listSlots,
  type NewEpoch,
  type NewKey,
  type Repository,
  removeSlot,
  rotateSlot,
  type SlotInfo,
} from '../../repository/index.ts';

/** The repository whose keys are changed, and the writer who changes them. */
export interface KeyChange {
  repository: Repository;
  stateDirectory: string;
}

/** Lets another key open the repository. Gives the id of its slot. Errors: as `addSlot` and `openLedger`. */
export function addKey({ repository, ...rest }: KeyChange & { key: NewKey; label: string }): Promise<string> {
  const { key, label } = rest;
  return recorded(repository, rest.stateDirectory, 'keys.add', '', { kind: kindOf(key), label }, async () => {
    const slot = await addSlot(repository, key, label);
    return { result: slot, subject: slot };
  });
}

/** Removes a key. Errors: as `removeSlot` and `openLedger`. */
export function removeKey({
  repository,
  stateDirectory,
  slot,
}: KeyChange & { slot: string }): Promise<{ left: LeftObject[] }> {
  return recorded(repository, stateDirectory, 'keys.remove', slot, {}, async () => {
    const result = await removeSlot(repository, slot);
    return { result, subject: slot, facts: { left: result.left.length } };
  });
}

/** Puts a new key in the place of one. Errors: as `rotateSlot` and `openLedger`. */
export function rotateKey({
  repository,
  stateDirectory,
  slot,
  ...to
}: KeyChange & { slot: string; key: NewKey; label: string }): Promise<{ slot: string; left: LeftObject[] }> {
  const facts = { kind: kindOf(to.key), label: to.label };
  return recorded(repository, stateDirectory, 'keys.rotate', slot, facts, async () => {
    const result = await rotateSlot(repository, slot, to.key, to.label);
    return { result, subject: slot, facts: { ...facts, replacedBy: result.slot, left: result.left.length } };
  });
}

/** Begins a new epoch. Errors: as `beginEpoch` and `openLedger`. */
export function renewEpoch({ repository, stateDirectory }: KeyChange): Promise<NewEpoch> {
  return recorded(repository, stateDirectory, 'keys.new-epoch', repository.id, {}, async () => {
    const result = await beginEpoch(repository);
    return { result, subject: repository.id, facts: { ...result } };
  });
}

/** The slot that these digits, or this label, mean. Errors: `KEY_SLOT_ABSENT`; `KEY_SLOT_AMBIGUOUS`. */
export async function findSlot(repository: Repository, name: string): Promise<SlotInfo> {
  const { slots } = await listSlots(repository);
  const byLabel = slots.filter(({ label, state }) => label === name && state !== 'removed');
  const found = byLabel.length > 0 ? byLabel : slots.filter(({ slot }) => name !== '' && slot.startsWith(name));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const listed = slots.map(({ slot, label }) => `"${slot.slice(0, 12)}" ("${label}")`).join(', ');
  throw new HoldfastError(
    found.length === 0 ? 'KEY_SLOT_ABSENT' : 'KEY_SLOT_AMBIGUOUS',
    found.length === 0 ? `cannot find key slot "${name}"` : `cannot tell which key slot "${name}" is`,
    {
      detail: `Expected the label, or the beginning of the id, of one of ${listed}.`,
      hints: ['Run `holdfast keys list`.'],
    },
  );
}

/** An entry stands before the change and one behind it, so that no change is without one, wherever it was stopped. */
async function recorded<T>(
  repository: Repository,
  stateDirectory: string,
  action: string,
  subject: string,
  facts: JsonObject,
  act: () => Promise<{ result: T; subject: string; facts?: JsonObject }>,
): Promise<T> {
  repository.assertWritable();
  const ledger: Ledger = await openLedger(repository, stateDirectory);
  await ledger.append({ action, outcome: 'started', subject, facts });
  try {
    const done = await act();
    await ledger.append({ action, outcome: 'done', subject: done.subject, facts: { ...facts, ...done.facts } });
    return done.result;
  } catch (error) {
    const code = error instanceof HoldfastError ? error.code : 'UNEXPECTED';
    // The error is what matters; an entry that cannot be written, as when the store is away, must not hide it.
    await ledger.append({ action, outcome: 'failed', subject, facts: { ...facts, code } }).catch(() => {});
    throw error;
  }
}

function kindOf(key: NewKey): SlotInfo['kind'] {
  if (key.kind === 'key') return 'key-file';
  return key.kind === 'age-recipients' || key.kind === 'age-identity' ? 'age' : key.kind;
}
