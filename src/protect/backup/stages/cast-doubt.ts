import type { LedgerWriter } from '../../../ledger/index.ts';
import type { Clock, Progress } from '../../../lib/index.ts';
import type { ConnectionTarget } from '../../../postgres/index.ts';
import type { Repository, SnapshotRecord } from '../../../repository/index.ts';
import { describeFinding, type Findings, recordDoubt } from '../cross-check/index.ts';
import { serverPathOf } from '../tree-paths.ts';
import { nameRelations } from './name-damage.ts';

/** What a check found, and which snapshots were attested doubtful for it. */
export interface CastDoubt {
  readonly findings: Findings;
  readonly snapshots: readonly string[];
}

/**
 * Tells what was found, with the names of relations, and records that a snapshot and what was built on it is in doubt: at once, so that whatever becomes
 * of the run, nothing is built on them any more.
 *
 * Errors: those of the store.
 */
export async function castDoubt(options: {
  repository: Repository;
  ledger: LedgerWriter;
  source: ConnectionTarget;
  clock: Clock;
  progress: Progress;
  base: SnapshotRecord;
  findings: Findings;
}): Promise<CastDoubt> {
  const { repository, ledger, progress, base } = options;
  const findings = await withRelations(options);
  for (const finding of findings.first) progress.note(describeFinding(finding));
  return { findings, snapshots: await recordDoubt(repository, ledger, base, findings) };
}

async function withRelations(options: {
  findings: Findings;
  source: ConnectionTarget;
  clock: Clock;
}): Promise<Findings> {
  const { findings } = options;
  const files = [...new Set(findings.first.map(({ path }) => serverPathOf(path) ?? path))];
  const named = await nameRelations(files, options);
  const nameOf = (path: string) => named.find(({ file }) => file === serverPathOf(path))?.relation ?? null;
  return { ...findings, first: findings.first.map((finding) => ({ ...finding, relation: nameOf(finding.path) })) };
}
