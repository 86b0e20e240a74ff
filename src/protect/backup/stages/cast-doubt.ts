import type { LedgerWriter } from '../../../ledger/index.ts';
import { type Clock, HoldfastError, type Progress } from '../../../lib/index.ts';
import type { ConnectionTarget } from '../../../postgres/index.ts';
import { attestDoubt, type Repository, type SnapshotRecord } from '../../../repository/index.ts';
import { describeFinding, type Findings, findingsFacts, noteFindings, recordDoubt } from '../cross-check/index.ts';
import { serverPathOf } from '../tree-paths.ts';
import { nameRelations } from './name-damage.ts';

/** What a check found, and which snapshots were attested doubtful for it. */
export interface CastDoubt {
  readonly findings: Findings;
  readonly snapshots: readonly string[];
}

/**
 * Records that a snapshot and what was built on it is in doubt: at once, so that whatever becomes of the run, nothing is built on them any more. Then what was found
 * is told, with the names of relations, for which the server is asked: one that is gone, or never answers, keeps no doubt from being recorded.
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
  /** What was found says nothing against it: then no snapshot is in doubt, and that is all the same told, here and in the ledger. */
  sparesBase?: boolean;
}): Promise<CastDoubt> {
  const { repository, ledger, progress, base, sparesBase = false } = options;
  const snapshots = sparesBase ? [] : await recordDoubt(repository, ledger, base, options.findings);
  if (sparesBase) await noteFindings(ledger, base, options.findings, []);
  const findings = await withRelations(options);
  for (const finding of findings.first) progress.note(describeFinding(finding));
  if (!sparesBase && findings.first.some(({ relation }) => relation !== null))
    await keepNames(options, snapshots, findings);
  return { findings, snapshots };
}

/** Says the same once more, with the names: later the relations may be others. */
async function keepNames(
  { repository, progress }: { repository: Repository; progress: Progress },
  snapshots: readonly string[],
  findings: Findings,
): Promise<void> {
  try {
    await attestDoubt(repository, { snapshots, facts: findingsFacts(findings) });
  } catch (error) {
    // The doubt stands without them.
    if (!(error instanceof HoldfastError)) throw error;
    progress.note(`the names of the relations could not be kept: ${error.message}`);
  }
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
