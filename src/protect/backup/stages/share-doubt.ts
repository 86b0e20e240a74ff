import type { LedgerWriter } from '../../../ledger/index.ts';
import type { Progress } from '../../../lib/index.ts';
import { parseLsn } from '../../../postgres/index.ts';
import type { Repository, SnapshotRecord } from '../../../repository/index.ts';
import { describeFinding, type Findings, findingsFacts, readFindings } from '../cross-check/index.ts';
import { readDoubts } from '../doubts.ts';
import type { ReadingDone } from '../reading-done.ts';
import type { CastDoubt } from './cast-doubt.ts';

/**
 * Whether doubt was cast on the base of an increment while that ran: then the increment, which is committed by now, is in doubt as well, and that is told. Null
 * where nobody doubts the base.
 *
 * Errors: those of the store.
 */
export async function shareDoubt(options: {
  repository: Repository;
  ledger: LedgerWriter;
  progress: Progress;
  snapshot: SnapshotRecord;
  reading: ReadingDone & { manner: 'increment' };
}): Promise<CastDoubt | null> {
  const { repository, ledger, progress, snapshot, reading } = options;
  const doubt = (await readDoubts(repository)).about(reading.base).at(-1);
  if (doubt === undefined) return null;
  const range = { from: parseLsn(reading.baseStart), to: parseLsn(snapshot.wal.start) };
  const findings: Findings = readFindings(doubt.facts) ?? { ...range, count: 0, first: [] };
  for (const finding of findings.first) progress.note(describeFinding(finding));
  const facts = findingsFacts(findings);
  const doubtful = [snapshot.id];
  const entry = { action: 'cross-check', outcome: 'failed', subject: snapshot.id } as const;
  await ledger.append({ ...entry, facts: { ...facts, base: reading.base, doubtful } });
  return { findings, snapshots: doubtful };
}
