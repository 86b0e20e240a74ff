import type { Repository } from '../repository/index.ts';
import type { LedgerEvent } from './entry.ts';
import { findRegressions, headRegressed } from './regression.ts';
import { RememberedHeads } from './remembered-heads.ts';
import { readWriterId } from './writer-id.ts';

/** Where a run writes down what it does. */
export interface LedgerWriter {
  /** 32 hexadecimal digits. */
  readonly writer: string;
  append(event: LedgerEvent): Promise<unknown>;
}

/**
 * The ledger of a run to which the copy `place` is what the primary is otherwise.
 *
 * It keeps no entries: a chain has one end, which is in the primary, and an entry that a copy alone had would fork it. What the run leaves is entered
 * when it is brought to the primary. What this host has seen in the copy must be there (rule B4).
 * Errors: `LEDGER_HEAD_REGRESSED`; `STATE_UNREADABLE`, `STATE_UNWRITABLE`; those of the store.
 */
export async function openAwayLedger(
  repository: Repository,
  stateDirectory: string,
  place: string,
): Promise<LedgerWriter> {
  const regressions = await findRegressions(repository, new RememberedHeads(stateDirectory, repository.id, place));
  if (regressions.length > 0) throw headRegressed(regressions);
  return { writer: await readWriterId(stateDirectory), append: async () => {} };
}
