import {
  acquireLease,
  collectPruneState,
  DEFAULT_MARGINS,
  type DeletionBudget,
  executePrune,
  type ForgetWish,
  type HoldCheck,
  PRUNE_PURPOSE,
  PruneBudget,
  type PruneMargins,
  type PruneProposal,
  type PruneResult,
  proposePrune,
  type Repository,
} from '../../src/repository/index.ts';

export interface PruneOnceOptions {
  /** Ids of snapshots to be forgotten. */
  readonly forget?: readonly string[];
  readonly margins?: Partial<PruneMargins>;
  readonly budget?: DeletionBudget;
  readonly others?: PruneProposal['others'];
  /** Without it nothing is held. */
  readonly holds?: HoldCheck;
  readonly keeps?: (name: string) => Promise<boolean>;
  /** Takes none, as one that always stands still right behind the question whether it still has it. */
  readonly withoutLease?: boolean;
}

/** One prune of a repository that was opened for it, from its lease to its end. */
export async function pruneOnce(
  repository: Repository,
  options: PruneOnceOptions = {},
): Promise<{ proposal: PruneProposal; result: PruneResult }> {
  const lease = await acquireLease(repository, { purpose: PRUNE_PURPOSE });
  if (options.withoutLease === true) {
    await lease.release();
    lease.assertHeld = () => {};
  }
  try {
    const held = options.withoutLease === true ? {} : { lease };
    const state = await collectPruneState({ repository, forget: wishFor(options.forget ?? []), ...held });
    try {
      const margins = { ...DEFAULT_MARGINS, ...options.margins };
      const proposal = proposePrune(state.facts, { margins, ...(options.others && { others: options.others }) });
      const budget = new PruneBudget(repository.clock, options.budget);
      const keeps = options.keeps === undefined ? {} : { keeps: options.keeps };
      const { holds = nothingHeld } = options;
      const result = await executePrune({ repository, state, proposal, lease, budget, holds, ...keeps });
      return { proposal, result };
    } finally {
      state.close();
    }
  } finally {
    await lease.release();
  }
}

const nothingHeld: HoldCheck = { findHeld: async () => new Set(), areTheSame: async () => true };

function wishFor(ids: readonly string[]): ForgetWish {
  const entry = { cluster: 'main', completedAt: '2026-01-01T00:00:00.000Z', reason: 'The test wants it to go.' };
  return new Map(ids.map((id) => [id, entry]));
}
