import { type Clock, type HoldfastError, messageOf, type Progress } from '../lib/index.ts';
import { knownUntilOf, type LandmarkSummary } from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import { describeElsewhere } from './describe-elsewhere.ts';
import { describeRange, describeRoute } from './describe-range.ts';
import {
  type CommitFacts,
  commitFacts,
  type LastStoredCommit,
  proposeRestore,
  type RestoreProposal,
  targetUnreachable,
  type Volume,
} from './proposal.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import { type ReachableRange, type Rejection, reachableRanges, selectSnapshots } from './select-snapshot.ts';
import type { SnapshotFacts } from './snapshot-facts.ts';
import { checkWalTablespaces, withoutPermits } from './stages/check-wal-tablespaces.ts';
import { type ReuseEstimate, ReuseEstimator } from './stages/estimate-reuse.ts';
import { findOpenPrepared } from './stages/find-open-prepared.ts';
import { type ClusterIdentity, inspectCloneSource, inspectDelta } from './stages/inspect-delta.ts';
import { inspectTablespaces, type TablespacePlace } from './stages/inspect-tablespaces.ts';
import { inspectTarget, type TargetPlace } from './stages/inspect-target.ts';
import { locateTarget } from './stages/locate-target.ts';
import { type RestoreFacts, type RestoreSource, readFacts } from './stages/read-facts.ts';
import { readOutline, type TreeOutline } from './stages/read-outline.ts';
import { resolveTarget } from './stages/resolve-target.ts';
import { type PlacedTablespace, placeTablespaces, type TablespaceWishes } from './tablespaces.ts';
import { findLastCommit, isCommit, isWalUnreadable, landmarksOf } from './wal-records.ts';
import { historyOf, listRoutes, type WalRoute } from './wal-route.ts';
import { surveyWal, type WalSurvey } from './wal-survey.ts';

/** What shall be restored, and where to. */
export interface RestoreRequest extends RestoreSource {
  readonly repository: Repository;
  readonly into: string;
  readonly target: RecoveryTarget;
  /** Leaves out what lies exactly at the target: the record at the LSN, commits of exactly that time. */
  readonly exclusive?: boolean;
  /** Where tablespaces go. */
  readonly tablespaces?: TablespaceWishes;
  /** Goes over the data directory that `into` is, and fetches only what differs. */
  readonly delta?: boolean;
  /** A data directory of the same cluster; its files are cloned into the new place, and only what differs is fetched. */
  readonly cloneFrom?: string;
  readonly clock: Clock;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
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
 * Errors: RESTORE_TARGET_UNREACHABLE with the ranges that can be restored; those of `locateTarget`; those of `readFacts`, `inspectTarget` and `proposeRestore`.
 */
export async function prepareRestore(request: RestoreRequest, start: boolean): Promise<PreparedRestore> {
  const { repository, clock, target } = request;
  const exclusive = request.exclusive ?? false;
  const facts = await readFacts(request);
  const place = await inspectPlace(request, facts.snapshots[0]!);
  const { system } = facts.snapshots[0]!;
  const others = listRoutes(facts.inventory, system, facts.cluster);
  const located = await locateTarget({ route: facts.route, otherRoutes: others, repository, target, exclusive });
  const wanted = { route: facts.route, target: located.target, exclusive: located.exclusive };
  const choice = selectSnapshots({ snapshots: facts.snapshots, ...wanted });
  const { resolved, rejected } = await resolveTarget({ repository, ...wanted }, choice);
  const reachable = reachableRanges(facts.snapshots, facts.route);
  if (resolved === null) throw await unreachable(repository, facts, target, rejected, reachable);
  const { snapshot, reach } = resolved.candidate;
  const behind = { from: resolved.reachedLsn, to: reach };
  const { lineage } = historyOf(facts.route);
  const knownUntil = target.kind === 'latest' ? knownUntilOf(facts.receivers, { lineage, durableEnd: reach }) : null;
  request.progress?.begin('reading the WAL for what its replay needs');
  const range = { from: snapshot.start, to: resolved.neededEnd };
  const [lastStored, firstStored, prepared, survey] = await Promise.all([
    findLastStoredCommit(repository, facts.route, behind),
    findFirstStoredCommit(repository, facts.route, behind),
    findOpenPrepared(repository, facts.route, { from: snapshot.start, to: resolved.reachedLsn }),
    surveyWal(repository, resolved.route, range, request.signal),
  ]);
  const tablespaces = await settleTablespaces(request, { snapshot, place, survey, start });
  const cloneFrom =
    request.cloneFrom === undefined ? null : await inspectCloneSource(request.cloneFrom, identityOf(request, snapshot));
  const files = await lookIntoFiles(request, { snapshot, place, cloneFrom, placed: tablespaces.placed });
  const proposed = proposeRestore({
    repository: repository.id,
    now: clock.now(),
    into: place.path,
    start,
    asked: target,
    exclusive,
    located: located.notes,
    prepared,
    inventory: facts.inventory,
    resolved,
    rejected,
    reachable,
    firstStored,
    lastStored,
    knownUntil,
    manner: request.delta === true ? 'delta' : cloneFrom === null ? 'new' : 'clone',
    cloneFrom,
    survey,
    tablespaces: tablespaces.placed,
    reuse: files?.reuse ?? null,
    volumes: describeVolumes(place, tablespaces.places, snapshot, files?.outline ?? null),
  });
  const leftOut = describeElsewhere(proposed, facts.route, facts.otherRoutes);
  const proposal = { ...proposed, warnings: [...proposed.warnings, ...leftOut], leftOut };
  return { proposal, facts, place, route: facts.route };
}

function identityOf({ repository }: RestoreRequest, { system, serverMajor }: SnapshotFacts): ClusterIdentity {
  return { repository: repository.id, system, serverMajor };
}

function inspectPlace(request: RestoreRequest, snapshot: SnapshotFacts): Promise<TargetPlace> {
  if (request.delta !== true) return inspectTarget(request.into, request.repository.id);
  return inspectDelta(request.into, identityOf(request, snapshot));
}

/** Where tablespaces go, those of the snapshot and those that the WAL makes. */
async function settleTablespaces(
  request: RestoreRequest,
  {
    snapshot,
    place,
    survey,
    start,
  }: { snapshot: SnapshotFacts; place: TargetPlace; survey: WalSurvey; start: boolean },
): Promise<{ placed: PlacedTablespace[]; places: TablespacePlace[] }> {
  const wishes = request.tablespaces ?? { mappings: [] };
  const own = withoutPermits(wishes, survey.tablespaces, snapshot.tablespaces);
  const placed = placeTablespaces(snapshot.tablespaces, own, place.path);
  const delta = request.delta ?? false;
  const places = await inspectTablespaces({ placed, into: place.path, repository: request.repository.id, delta });
  await checkWalTablespaces({ inWal: survey.tablespaces, wishes, placed, start });
  return { placed, places };
}

/** Reads the list of files where more has to be known of them than their sum: what lies in which place, and how much of it is there. */
async function lookIntoFiles(
  { repository, delta }: RestoreRequest,
  {
    snapshot,
    place,
    cloneFrom,
    placed,
  }: {
    snapshot: SnapshotFacts;
    place: TargetPlace;
    cloneFrom: string | null;
    placed: readonly PlacedTablespace[];
  },
): Promise<{ outline: TreeOutline; reuse: ReuseEstimate | null } | null> {
  const reuses = delta === true || place.state === 'unfinished';
  const from = reuses ? place.path : cloneFrom;
  if (from === null && placed.length === 0) return null;
  const index = await repository.loadIndex();
  try {
    const { readChunk } = repository.openChunkReader(index);
    if (from === null) return { outline: await readOutline(snapshot, readChunk), reuse: null };
    const moved = reuses ? placed : [];
    const estimator = new ReuseEstimator({ from, moved, readChunk, keys: repository.keys, totalBytes: snapshot.bytes });
    const outline = await readOutline(snapshot, readChunk, (entry) => estimator.add(entry));
    return { outline, reuse: estimator.result() };
  } finally {
    index.close();
  }
}

/** The places to which files go, the data directory first. Without an outline all bytes are its own. */
function describeVolumes(
  place: TargetPlace,
  places: readonly TablespacePlace[],
  snapshot: SnapshotFacts,
  outline: TreeOutline | null,
): Volume[] {
  const bytesOf = (oid: number) => outline?.tablespaceBytes.get(oid) ?? 0;
  const elsewhere = places.reduce((sum, { oid }) => sum + bytesOf(oid), 0);
  const { path, device, freeBytes } = place;
  return [
    { path, device, freeBytes, dataBytes: (outline?.bytes ?? snapshot.bytes) - elsewhere },
    ...places.map((space) => ({ ...space, dataBytes: bytesOf(space.oid) })),
  ];
}

/** The first commit in a range, as far as the WAL can be read; `findLastStoredCommit` says what is wrong with it. */
async function findFirstStoredCommit(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
): Promise<CommitFacts | null> {
  try {
    const mayHold = ({ commits }: LandmarkSummary) => commits > 0;
    for await (const landmark of landmarksOf(repository, route).read({ ...range, mayHold })) {
      if (isCommit(landmark)) return commitFacts(landmark);
    }
  } catch (error) {
    if (!isWalUnreadable(error)) throw error;
  }
  return null;
}

/** The last commit in a range, for people. WAL that nobody will replay need not be sound: then `problem` says what is wrong with it. */
async function findLastStoredCommit(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
): Promise<LastStoredCommit> {
  try {
    const last = await findLastCommit(repository, route, range);
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
    const knownUntil = knownUntilOf(facts.receivers, { lineage, durableEnd: to });
    described.push(describeRange(range, last, knownUntil));
  }
  const elsewhere = facts.otherRoutes.flatMap((route) => describeRoute(route, reachableRanges(facts.snapshots, route)));
  return targetUnreachable({ target, rejected, reachable: described, elsewhere });
}
