import type { LedgerWriter } from '../../../ledger/index.ts';
import { attest, type Repository, type SnapshotRecord } from '../../../repository/index.ts';
import { readingOf } from '../reading-done.ts';
import { type Findings, findingsFacts } from './finding.ts';

/**
 * Attests of a snapshot, and of those that share what may be wrong in it, that they are in doubt, and writes the findings into the ledger. Which of the
 * witnesses is wrong is not known here. Gives the ids, the snapshot's first.
 *
 * Each is attested before it is listed what was built on it: a backup that goes on meanwhile commits first and asks about its base afterwards, so that
 * one of the two sees the other.
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
  const doubted: string[] = [];
  for (let concerned = [base.id]; concerned.length > 0; ) {
    for (const snapshot of concerned) await attest(repository, { snapshot, level: 'doubtful', facts });
    doubted.push(...concerned);
    const { snapshots } = await repository.listSnapshots();
    const from = isFromBefore ? incrementsBelow(base, snapshots) : [base.id];
    concerned = builtOn(from, snapshots).filter((id) => !doubted.includes(id));
  }
  const entry = { action: 'cross-check', outcome: 'failed', subject: base.id } as const;
  await ledger.append({ ...entry, facts: { ...facts, doubtful: doubted } });
  return doubted;
}

/** A snapshot and the increments that it stands on, as far as they are listed; not the backup at their root, for which everything was read. */
function incrementsBelow(snapshot: SnapshotRecord, snapshots: readonly SnapshotRecord[]): string[] {
  const ids = [snapshot.id];
  for (let next: SnapshotRecord | undefined = snapshot; next !== undefined; ) {
    const base = baseOf(next);
    next = snapshots.find(({ id }) => id === base && !ids.includes(id));
    if (next !== undefined && baseOf(next) !== null) ids.push(next.id);
  }
  return ids;
}

/** Snapshots and those whose unchanged blocks come from them, directly or through others. */
function builtOn(roots: readonly string[], snapshots: readonly SnapshotRecord[]): string[] {
  const ids = [...roots];
  for (let i = 0; i < ids.length; i++) {
    for (const snapshot of snapshots) {
      if (baseOf(snapshot) === ids[i] && !ids.includes(snapshot.id)) ids.push(snapshot.id);
    }
  }
  return ids;
}

/** The snapshot on which an increment stands; null for one for which everything was read. */
function baseOf(snapshot: SnapshotRecord): string | null {
  const reading = readingOf(snapshot);
  return reading?.manner === 'increment' ? reading.base : null;
}
