import { assert, mapAhead, type Progress, silentProgress } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import type { Lease } from '../lease/index.ts';
import { packName } from '../pack/index.ts';
import type { Repository } from '../repository.ts';
import { committedName, pendingName, withdrawSnapshot } from '../snapshot/index.ts';
import { writeTombstone } from '../tombstone/index.ts';
import { PruneBudget } from './budget.ts';
import { type Deleter, deleteObjects, deleteUnits } from './delete-objects.ts';
import { forgetSnapshots } from './forget-snapshots.ts';
import { TOMBSTONE_PACKS_MAX } from './margins.ts';
import type { OtherObject, PruneProposal, Waiting, WaitReason } from './propose-prune.ts';
import { listsLate, proposalStale } from './prune-error.ts';
import type { PruneState } from './prune-state.ts';
import { type Repacked, repackChunks } from './repack.ts';
import { supersedeIndex } from './supersede-index.ts';

/** A proposal is carried out within a day of the state that it was made from. */
const PROPOSAL_MS_MAX = 86_400_000;

/** Names that the primary is asked for at once. */
const ASKED_MAX = 8;

/** What a prune did. Bytes are of stored objects. */
export interface PruneResult {
  readonly withdrawn: readonly string[];
  readonly forgotten: readonly string[];
  readonly repacked: { readonly packs: number; readonly bytes: number; readonly storedBytes: number };
  readonly announced: { readonly packs: number; readonly bytes: number };
  /** Objects of every kind that are gone. */
  readonly deleted: { readonly objects: number; readonly bytes: number; readonly packs: number };
  /** What could have gone by the proposal and stays for now, and what the proposal itself said to wait. */
  readonly waiting: readonly Waiting[];
  /** Whether a record could not be dropped, so that the state has to be looked at again before anything else goes. */
  readonly isToBeRepeated: boolean;
}

/** What holds say now. */
export interface HoldCheck {
  /** Which of these snapshots are held. */
  findHeld(ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** Whether the holds are those that the proposal was made with. */
  areTheSame(): Promise<boolean>;
}

export interface ExecuteOptions {
  /** The place that the state was taken of, opened to prune. */
  readonly repository: Repository;
  readonly state: PruneState;
  readonly proposal: PruneProposal;
  /** The one with which the state was collected. */
  readonly lease: Lease;
  readonly budget?: PruneBudget;
  /** Whether an object has to stay although nothing here needs it, as the primary has it still. */
  readonly keeps?: (name: string) => Promise<boolean>;
  /** Asked once what is to be forgotten is recorded, and again before other objects go: somebody may have put it under a hold meanwhile. */
  readonly holds: HoldCheck;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Carries a proposal out, in the order of `docs/prune.md`. It may be killed anywhere: what is left to be done is found by looking again.
 *
 * Errors: `PRUNE_PROPOSAL_STALE`, `STORE_LISTS_LATE`, `LEASE_LOST`, `BACKUP_TOO_LONG`, `INDEX_WRITE_DAMAGED`; those of the store.
 */
export async function executePrune(options: ExecuteOptions): Promise<PruneResult> {
  const { repository, proposal, lease, signal, progress = silentProgress } = options;
  assert(repository.access === 'prune', 'whoever prunes has opened the repository for that');
  const budget = options.budget ?? new PruneBudget(repository.clock);
  const deleted = { objects: 0, bytes: 0, packs: 0 };
  const deleter: Deleter = {
    ...{ store: repository.store, lease, budget },
    ...(options.keeps && { keeps: options.keeps }),
    ...(signal && { signal }),
    onDeleted: ({ name, bytes }) => {
      deleted.objects += 1;
      deleted.bytes += bytes;
      if (name.startsWith(kindPrefix('data-pack'))) deleted.packs += 1;
      progress.advance(1);
    },
  };
  await refuseOtherState(options);
  const { withdrawn, kept } = await withdrawAll(options);
  progress.begin('forgetting snapshots', { unit: 'objects' });
  const { forgotten, waiting: listed } = await forgetSnapshots(options, deleter);
  const waiting = [...proposal.waiting, ...kept, ...listed];
  const nothing = { repacked: none(), announced: { packs: 0, bytes: 0 } };
  // What is listed still needs what the proposal takes for dead.
  if (listed.length > 0) return { withdrawn, forgotten, ...nothing, deleted, waiting, isToBeRepeated: true };

  progress.begin('deleting', { unit: 'objects' });
  await refuseOtherTombstones(options);
  waiting.push(...(await deleteProposed(options, deleter)));

  const { repack: packs, announce } = proposal;
  const repacked = await repackChunks({ ...options, packs, announce, budget });
  waiting.push(...repacked.left.map(({ pack, why }) => wait(sized(pack), why)));
  // Announced before, and without live chunks from now on.
  const moved = repacked.packs.filter(({ isAnnounced }) => isAnnounced);
  waiting.push(...moved.map((pack) => wait(sized(pack), 'moved')));
  const emptied = repacked.packs.filter(({ isAnnounced }) => !isAnnounced);
  const { announced, waiting: ofPrimary } = await announcePacks(options, [...announce, ...emptied]);
  waiting.push(...ofPrimary);
  const bytes = announced.reduce((sum, pack) => sum + pack.bytes, 0);
  return {
    ...{ withdrawn, forgotten, repacked: tell(repacked), deleted, waiting, isToBeRepeated: false },
    announced: { packs: announced.length, bytes },
  };
}

/** Whether the state is the one that the proposal was made from, and still the newest as far as pruners are concerned. */
async function refuseOtherState({ repository, state, proposal, lease }: ExecuteOptions): Promise<void> {
  if (proposal.madeFrom !== state.facts) throw proposalStale('it was made from another one');
  const { takenAt, repositoryId, place } = state.facts;
  if (repositoryId !== repository.id || place !== repository.store.description)
    throw proposalStale(`it was made for ${place}`);
  if ((await repository.store.now()) - takenAt > PROPOSAL_MS_MAX)
    throw proposalStale('it was made more than a day ago');
  lease.assertHeld();
  await lease.assertNotTooLong();
  await refuseOtherTombstones({ repository, state });
}

/** Another pruner that was at work meanwhile may have announced what this one counts on. */
async function refuseOtherTombstones({
  repository,
  state,
}: Pick<ExecuteOptions, 'repository' | 'state'>): Promise<void> {
  const missing = new Set(state.facts.tombstones.map(({ name }) => name));
  for await (const { name } of repository.store.list(kindPrefix('tombstone')))
    if (!missing.delete(name)) throw proposalStale('somebody else has announced packs');
  if (missing.size > 0) throw proposalStale(`tombstone "${[...missing][0]}" is gone`);
}

/** Ids that were withdrawn. In a copy a withdrawal would keep the primary's own record out for good: what the primary has of a snapshot keeps it here. */
async function withdrawAll({
  repository,
  proposal,
  keeps,
}: ExecuteOptions): Promise<{ withdrawn: string[]; kept: Waiting[] }> {
  const withdrawn: string[] = [];
  const kept: Waiting[] = [];
  for (const id of proposal.withdraw) {
    const name = pendingName(id);
    if ((await keeps?.(name)) === true || (await keeps?.(committedName(id))) === true)
      kept.push(wait({ name, bytes: 0 }, 'primary'));
    else if ((await withdrawSnapshot(repository, id)) === 'withdrawn') withdrawn.push(id);
  }
  return { withdrawn, kept };
}

/** Deletes all that the proposal says, which gives back at once and needs nothing that this run stores. Gives what stays. */
async function deleteProposed(
  { repository, state, proposal, holds }: ExecuteOptions,
  deleter: Deleter,
): Promise<Waiting[]> {
  const superseded = await supersedeIndex(repository, state, deleter, proposal.supersede);
  const waiting = [...superseded.waiting];
  const free: OtherObject[] = [];
  for (const pack of proposal.delete) {
    const why = superseded.stillNamed.get(pack.id);
    if (why === undefined) free.push(sized(pack));
    else waiting.push(wait(sized(pack), why));
  }
  waiting.push(...(await deleteObjects(deleter, free)));
  const { others, clearUp } = proposal;
  if (others.length > 0 && !(await holds.areTheSame()))
    waiting.push(...others.flat().map((object) => wait(object, 'held')));
  else waiting.push(...(await deleteUnits(deleter, others)));
  // A tombstone goes after all that it is about.
  for (const names of [clearUp.small, clearUp.tombstones]) {
    const small = names.map((name) => ({ name, bytes: 0 }));
    waiting.push(...(await deleteObjects(deleter, small)));
  }
  return waiting;
}

/** What the primary has still is not announced in a copy: it may be needed there again, and then here. Errors: `STORE_LISTS_LATE`; those of the store. */
async function announcePacks(
  { repository, keeps }: ExecuteOptions,
  packs: readonly { id: string; bytes: number }[],
): Promise<{ announced: { id: string; bytes: number }[]; waiting: Waiting[] }> {
  const announced: { id: string; bytes: number }[] = [];
  const waiting: Waiting[] = [];
  const ask = async (pack: { id: string; bytes: number }) => ({ pack, isKept: await keeps?.(sized(pack).name) });
  for await (const { pack, isKept } of mapAhead(packs, { atOnceMax: ASKED_MAX }, ask)) {
    if (isKept === true) waiting.push(wait(sized(pack), 'primary'));
    else announced.push(pack);
  }
  const unlisted = new Set<string>();
  for (let first = 0; first < announced.length; first += TOMBSTONE_PACKS_MAX) {
    const ids = announced.slice(first, first + TOMBSTONE_PACKS_MAX).map(({ id }) => id);
    unlisted.add(await writeTombstone(repository, { packs: ids }));
  }
  if (unlisted.size === 0) return { announced, waiting };
  for await (const { name } of repository.store.list(kindPrefix('tombstone'))) unlisted.delete(name);
  if (unlisted.size > 0) throw listsLate([...unlisted][0]!);
  return { announced, waiting };
}

function wait(object: OtherObject, reason: WaitReason): Waiting {
  return { ...object, reason, until: null };
}

function sized({ id, bytes }: { id: string; bytes: number }): OtherObject {
  return { name: packName(Buffer.from(id, 'hex')), bytes };
}

function none(): PruneResult['repacked'] {
  return { packs: 0, bytes: 0, storedBytes: 0 };
}

function tell({ packs, bytes, storedBytes }: Repacked): PruneResult['repacked'] {
  return { packs: packs.length, bytes, storedBytes };
}
