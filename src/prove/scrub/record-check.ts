import { verifyLedger } from '../../ledger/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import { kindPrefix, listSlots, type ObjectKind, type Repository } from '../../repository/index.ts';
import type { UnreadableObject } from './verdict.ts';

/** Everything that is one sealed body and is not read for another reason: packs, index, committed snapshots and WAL have their own checks. */
const kinds: readonly ObjectKind[] = [
  ...(['snapshot-pending', 'attestation', 'damage', 'tombstone', 'hold', 'run', 'ledger', 'erasure'] as const),
];

/** What is wrong with an object; anything else is the store's own trouble. */
const unreadableCodes = new Set(['OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT']);

/**
 * Opens every record of a repository, and tries the key slots for their form.
 *
 * With a state directory the chains of the ledger are walked too, which remembers their heads there.
 */
export async function checkRecords(repository: Repository, stateDirectory: string | null): Promise<UnreadableObject[]> {
  const unreadable: UnreadableObject[] = [];
  for (const kind of kinds) {
    for await (const { name } of repository.store.list(kindPrefix(kind))) {
      const sentence = await whyUnreadable(repository, kind, name);
      if (sentence !== null) unreadable.push({ object: name, sentence });
    }
  }
  const { damaged } = await listSlots(repository);
  unreadable.push(...damaged.map((object) => ({ object, sentence: 'It is no key slot that can be read.' })));
  if (stateDirectory === null) return unreadable;
  const { problems } = await verifyLedger(repository, stateDirectory);
  const told = new Set(unreadable.map(({ object }) => object));
  for (const { name, detail } of problems) if (!told.has(name)) unreadable.push({ object: name, sentence: detail });
  return unreadable;
}

async function whyUnreadable(repository: Repository, kind: ObjectKind, name: string): Promise<string | null> {
  try {
    await repository.getBody(kind, name);
    return null;
  } catch (error) {
    // Removed since it was listed, as pending records are.
    if (error instanceof HoldfastError && error.code === 'OBJECT_ABSENT') return null;
    if (error instanceof HoldfastError && unreadableCodes.has(error.code)) return error.detail ?? error.message;
    throw error;
  }
}
