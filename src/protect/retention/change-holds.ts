import { HOLD_ADDED, recordAct } from '../../ledger/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import {
  endHold,
  findHeldTooLate,
  type Hold,
  type HoldList,
  type JsonObject,
  kindPrefix,
  type NewHold,
  placeHold,
  type Repository,
} from '../../repository/index.ts';

/** The repository whose holds are changed, and the writer who changes them. */
export interface HoldChange {
  readonly repository: Repository;
  readonly stateDirectory: string;
}

/**
 * Places a hold, on every required copy, and says what of it came too late: snapshots that are gone, or were announced to go, before it was there.
 *
 * Errors: as `placeHold` and `openLedger`.
 */
export async function addHold({
  repository,
  stateDirectory,
  hold,
}: HoldChange & { readonly hold: NewHold }): Promise<{ id: string; tooLate: readonly string[] }> {
  const entry = { action: HOLD_ADDED, subject: '', facts: factsOf(hold) };
  return recordAct(repository, stateDirectory, entry, async () => {
    const id = await placeHold(repository, hold);
    await repository.settle([kindPrefix('hold') + id]);
    const tooLate = await findHeldTooLate(repository, hold.scope);
    return { result: { id, tooLate }, subject: id, facts: { ...entry.facts, tooLate: tooLate.length } };
  });
}

/** Ends a hold; what it kept is judged by the rules from then on. Errors: as `endHold` and `openLedger`. */
export async function removeHold({
  repository,
  stateDirectory,
  hold,
  ...by
}: HoldChange & { readonly hold: string; readonly who: string; readonly why: string }): Promise<void> {
  const entry = { action: 'hold.remove', subject: hold, facts: { ...by } };
  await recordAct(repository, stateDirectory, entry, async () => {
    await endHold(repository, hold, by);
    return { result: null, subject: hold };
  });
}

/** The hold whose id begins with these digits. Errors: `HOLD_ABSENT`; `HOLD_AMBIGUOUS`. */
export function findHold({ holds }: HoldList, digits: string): Hold {
  const prefix = digits.toLowerCase();
  const found = holds.filter(({ id }) => prefix !== '' && id.startsWith(prefix));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only === undefined) {
    throw new HoldfastError('HOLD_ABSENT', `cannot find hold "${digits}"`, {
      detail: 'Expected a hold whose id begins with these hexadecimal digits, found none.',
      hints: ['Run `holdfast hold list --all` to see every hold that there was.'],
    });
  }
  throw new HoldfastError('HOLD_AMBIGUOUS', `cannot tell which hold "${digits}" is meant`, {
    detail: `Expected one hold, found ${found.map(({ id }) => id.slice(0, Math.max(12, prefix.length + 4))).join(', ')}.`,
    hints: ['Type more digits of the id.'],
  });
}

function factsOf({ who, why, until, purpose, scope }: NewHold): JsonObject {
  return { who, why, purpose, scope, until: until === null ? null : new Date(until).toISOString() };
}
