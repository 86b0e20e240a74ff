import { recordAct } from '../../ledger/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import {
  addSlot,
  beginEpoch,
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
  return recordAct(
    repository,
    rest.stateDirectory,
    { action: 'keys.add', subject: '', facts: { kind: kindOf(key), label } },
    async () => {
      const slot = await addSlot(repository, key, label);
      return { result: slot, subject: slot };
    },
  );
}

/** Removes a key. Errors: as `removeSlot` and `openLedger`. */
export function removeKey({
  repository,
  stateDirectory,
  slot,
}: KeyChange & { slot: string }): Promise<{ left: LeftObject[] }> {
  return recordAct(repository, stateDirectory, { action: 'keys.remove', subject: slot, facts: {} }, async () => {
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
  return recordAct(repository, stateDirectory, { action: 'keys.rotate', subject: slot, facts: facts }, async () => {
    const result = await rotateSlot(repository, slot, to.key, to.label);
    return { result, subject: slot, facts: { ...facts, replacedBy: result.slot, left: result.left.length } };
  });
}

/** Begins a new epoch. Errors: as `beginEpoch` and `openLedger`. */
export function renewEpoch({ repository, stateDirectory }: KeyChange): Promise<NewEpoch> {
  return recordAct(
    repository,
    stateDirectory,
    { action: 'keys.new-epoch', subject: repository.id, facts: {} },
    async () => {
      const result = await beginEpoch(repository);
      return { result, subject: repository.id, facts: { ...result } };
    },
  );
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

function kindOf(key: NewKey): SlotInfo['kind'] {
  if (key.kind === 'key') return 'key-file';
  return key.kind === 'age-recipients' || key.kind === 'age-identity' ? 'age' : key.kind;
}
