import { type Clock, type HoldfastError, messageOf } from '../lib/index.ts';
import { readKnownUntil } from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import { describeElsewhere } from './describe-elsewhere.ts';
import { describeRange, describeRoute } from './describe-range.ts';
import {
  commitFacts,
  type LastStoredCommit,
  proposeRestore,
  type RestoreProposal,
  targetUnreachable,
} from './proposal.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import { type ReachableRange, type Rejection, reachableRanges, selectSnapshots } from './select-snapshot.ts';
import { inspectTarget, type TargetPlace } from './stages/inspect-target.ts';
import { type RestoreFacts, type RestoreSource, readFacts } from './stages/read-facts.ts';
import { resolveTarget } from './stages/resolve-target.ts';
import { findLastCommit, isWalUnreadable } from './wal-records.ts';
import { historyOf, type WalRoute } from './wal-route.ts';

/** What shall be restored, and where to. */
export interface RestoreRequest extends RestoreSource {
  readonly repository: Repository;
  readonly into: string;
  readonly target: RecoveryTarget;
  /** Leaves out what lies exactly at the target: the record at the LSN, commits of exactly that time. */
  readonly exclusive?: boolean;
  readonly clock: Clock;
}

/** A proposal with what was read for it. */
export interface PreparedRestore {
  readonly proposal: RestoreProposal;
  readonly facts: RestoreFacts;
  readonly place: TargetPlace;
  /** The whole history, also behind the target: what lies there will be lost. */
  readonly route: WalRoute;
}

/**
 * Finds out what a restore would do, without writing anything anywhere: which snapshot, which WAL, to which position. This is what
 * `--dry-run` shows.
 *
 * Errors: RESTORE_TARGET_UNREACHABLE with the ranges that can be restored; those of `readFacts`, `inspectTarget` and `proposeRestore`.
 */
export async function prepareRestore(request: RestoreRequest, start: boolean): Promise<PreparedRestore> {
  const { repository, clock, target } = request;
  const exclusive = request.exclusive ?? false;
  const facts = await readFacts(request);
  const place = await inspectTarget(request.into, repository.id);
  const choice = selectSnapshots({ snapshots: facts.snapshots, route: facts.route, target, exclusive });
  const { resolved, rejected } = await resolveTarget({ repository, route: facts.route, target, exclusive }, choice);
  const reachable = reachableRanges(facts.snapshots, facts.route);
  if (resolved === null) throw await unreachable(repository, facts, target, rejected, reachable);
  const behind = { from: resolved.reachedLsn, to: resolved.candidate.reach };
  const lastStored = await findLastStoredCommit(repository, facts.route, behind);
  const knownUntil =
    target.kind === 'latest'
      ? await readKnownUntil(repository, {
          lineage: historyOf(facts.route).lineage,
          durableEnd: resolved.candidate.reach,
        })
      : null;
  const proposed = proposeRestore({
    repository: repository.id,
    now: clock.now(),
    into: place.path,
    start,
    asked: target,
    exclusive,
    inventory: facts.inventory,
    resolved,
    rejected,
    reachable,
    lastStored,
    knownUntil,
    freeBytes: place.freeBytes,
  });
  const elsewhere = describeElsewhere(proposed, facts.route, facts.otherRoutes);
  const proposal = { ...proposed, warnings: [...proposed.warnings, ...elsewhere] };
  return { proposal, facts, place, route: facts.route };
}

/** The last commit in a range, for people. WAL that nobody will replay need not be sound: then `problem` says what is wrong with it. */
async function findLastStoredCommit(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
): Promise<LastStoredCommit> {
  try {
    const last = await findLastCommit(repository, route, { ...range, reach: range.to });
    return { commit: commitFacts(last), problem: null };
  } catch (error) {
    if (!isWalUnreadable(error)) throw error;
    return { commit: null, problem: messageOf(error) };
  }
}

/** The error says what can be restored instead, in positions and in times. */
async function unreachable(
  repository: Repository,
  facts: RestoreFacts,
  target: RecoveryTarget,
  rejected: readonly Rejection[],
  reachable: readonly ReachableRange[],
): Promise<HoldfastError> {
  const described: string[] = [];
  for (const range of reachable) {
    const { to, snapshot } = range;
    const last = await findLastStoredCommit(repository, facts.route, { from: snapshot.end, to });
    const { lineage } = historyOf(facts.route);
    const knownUntil = await readKnownUntil(repository, { lineage, durableEnd: to });
    described.push(describeRange(range, last, knownUntil));
  }
  const elsewhere = facts.otherRoutes.flatMap((route) => describeRoute(route, reachableRanges(facts.snapshots, route)));
  return targetUnreachable({ target, rejected, reachable: described, elsewhere });
}
