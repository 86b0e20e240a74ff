import type { LedgerWriter } from '../../../ledger/index.ts';
import type { Progress } from '../../../lib/index.ts';
import { parseLsn } from '../../../postgres/index.ts';
import { attest, listAttestations, type Repository, type SnapshotRecord } from '../../../repository/index.ts';
import { describeFinding, type Findings, findingsFacts, readFindings } from '../cross-check/index.ts';
import type { ReadingDone } from '../reading-done.ts';
import type { CastDoubt } from './cast-doubt.ts';

/**
 * Whether doubt was cast on the base of an increment while that ran; then the increment is attested doubtful as well. It is committed by now, so that
 * whoever casts doubt on the base from here on finds it in the listing (`recordDoubt`). Null where nobody doubts the base.
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
  const { attestations } = await listAttestations(repository, reading.base);
  const doubt = attestations.findLast(({ level }) => level === 'doubtful');
  if (doubt === undefined) return null;
  const range = { from: parseLsn(reading.baseStart), to: parseLsn(snapshot.wal.start) };
  const findings: Findings = readFindings(doubt.facts) ?? { ...range, count: 0, first: [] };
  for (const finding of findings.first) progress.note(describeFinding(finding));
  const facts = findingsFacts(findings);
  await attest(repository, { snapshot: snapshot.id, level: 'doubtful', facts });
  const doubtful = [snapshot.id];
  const entry = { action: 'cross-check', outcome: 'failed', subject: snapshot.id } as const;
  await ledger.append({ ...entry, facts: { ...facts, base: reading.base, doubtful } });
  return { findings, snapshots: doubtful };
}
