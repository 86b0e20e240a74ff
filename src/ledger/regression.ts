import { HoldfastError, mapAhead } from '../lib/index.ts';
import type { Repository } from '../repository/index.ts';
import { type Head, hashStored } from './entry.ts';
import type { RememberedHeads } from './remembered-heads.ts';

/** Heads that are asked for at once. */
const READS_MAX = 16;

/** A remembered head that the store no longer has. */
export interface Regression {
  writer: string;
  /** `null` when no entry had been seen yet. */
  remembered: Head | null;
  /** `gone`: no entry of that number. `different`: another one, or a damaged one. `broken`: what follows it is no entry of this chain. */
  found: 'gone' | 'different' | 'broken';
  /** Who knows better, such as `copy "far"`; `null` when this host remembers. */
  knownBy: string | null;
}

/** Asks the store for every remembered head: one read for each writer. Errors: those of the store. */
export async function findRegressions(repository: Repository, heads: RememberedHeads): Promise<Regression[]> {
  const regressions: Regression[] = [];
  const ask = async ([writer, remembered]: [string, Head]) => {
    return { writer, remembered, hash: await hashStored(repository.store, writer, remembered.seq) };
  };
  for await (const { writer, remembered, hash } of mapAhead(await heads.read(), { atOnceMax: READS_MAX }, ask)) {
    if (hash !== remembered.sha256)
      regressions.push({ writer, remembered, found: hash === null ? 'gone' : 'different', knownBy: null });
  }
  return regressions;
}

/** The one error for them all: it stops every write until somebody acknowledges what happened. */
export function headRegressed(regressions: readonly Regression[]): HoldfastError {
  const told = regressions.map(
    ({ writer, remembered, found, knownBy }) =>
      `Entry ${remembered?.seq} of writer ${writer} was there and is now ${found}${knownBy === null ? '' : `, as ${knownBy} shows`}.`,
  );
  return new HoldfastError(
    'LEDGER_HEAD_REGRESSED',
    'cannot go on: the repository has lost or changed what its ledger had',
    {
      detail: told.join(' '),
      hints: [
        'The repository was put back to an earlier state, or somebody hides or replaces objects: find out which.',
        'Newer snapshots may be hidden as well. Look at copies of the repository.',
      ],
    },
  );
}
