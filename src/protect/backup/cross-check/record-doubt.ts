import type { LedgerWriter } from '../../../ledger/index.ts';
import { attestDoubt, type Repository, type SnapshotRecord } from '../../../repository/index.ts';
import { builtOn, incrementsBelow } from '../bases.ts';
import { type Findings, findingsFacts } from './finding.ts';

/**
 * Attests that a snapshot, and those that share what may be wrong in it, are in doubt, and writes the findings into the ledger. Which of the witnesses is
 * wrong is not known here. Gives the ids, the snapshot's first.
 *
 * The statement is one object, and what is built on any that it names is in doubt without another word (`readDoubts`). It names all that is listed, as one that is
 * forgotten no longer tells on what those above it stand. What was committed until then may have become a base already, so it is looked for once more.
 *
 * Errors: those of the store.
 */
export async function recordDoubt(
  repository: Repository,
  ledger: LedgerWriter,
  base: SnapshotRecord,
  findings: Findings,
): Promise<string[]> {
  const facts = findingsFacts(findings);
  // A page that is not what it was may have been lost by any increment on the way to it; one that was not sent is missing from now on.
  const isFromBefore = findings.first.some(({ kind }) => kind === 'differs');
  const findConcerned = async () => {
    const { snapshots } = await repository.listSnapshots();
    return builtOn(isFromBefore ? incrementsBelow(base, snapshots) : [base.id], snapshots);
  };
  const doubted = await findConcerned();
  await attestDoubt(repository, { snapshots: [...doubted], facts });
  const since = [...(await findConcerned())].filter((id) => !doubted.has(id));
  if (since.length > 0) await attestDoubt(repository, { snapshots: since, facts });
  const doubtful = [...doubted, ...since];
  await noteFindings(ledger, base, findings, doubtful);
  return doubtful;
}

/** Enters what was found, and which snapshots are in doubt for it. Errors: those of the store. */
export async function noteFindings(
  ledger: LedgerWriter,
  base: SnapshotRecord,
  findings: Findings,
  doubtful: readonly string[],
): Promise<void> {
  const entry = { action: 'cross-check', outcome: 'failed', subject: base.id } as const;
  await ledger.append({ ...entry, facts: { ...findingsFacts(findings), doubtful } });
}
