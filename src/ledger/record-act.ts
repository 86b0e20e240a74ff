import { HoldfastError } from '../lib/index.ts';
import type { JsonObject, Repository } from '../repository/index.ts';
import { openLedger } from './ledger.ts';

/**
 * Does something of which the ledger tells: an entry stands before the act and one behind it, so that no act is without one, wherever it was stopped.
 *
 * `subject`: to what it is done, as far as that is known before; `act` says it then. Errors: `REPOSITORY_READ_ONLY`; those of `openLedger` and of the act.
 */
export async function recordAct<T>(
  repository: Repository,
  stateDirectory: string,
  { action, subject, facts }: { action: string; subject: string; facts: JsonObject },
  act: () => Promise<{ result: T; subject: string; facts?: JsonObject }>,
): Promise<T> {
  repository.assertWritable();
  const ledger = await openLedger(repository, stateDirectory);
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
