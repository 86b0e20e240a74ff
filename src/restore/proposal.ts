import { HoldfastError } from '../lib/index.ts';
import { formatLsn, formatTimestamp, type Timestamp } from '../postgres/index.ts';
import type { WalInventory } from '../protect/wal/index.ts';
import { type FileSystemNeed, groupByFileSystem, refuseShort, type SpaceNeed } from './measure-space.ts';
import { formatRecoveryTarget, type RecoveryTarget } from './recovery-target.ts';
import type { ReachableRange, Rejection } from './select-snapshot.ts';
import { type SnapshotFacts, shortId } from './snapshot-facts.ts';
import type { ReuseEstimate } from './stages/estimate-reuse.ts';
import { describeOpenPrepared, type OpenPrepared } from './stages/find-open-prepared.ts';
import type { ResolvedTarget } from './stages/resolve-target.ts';
import type { PlacedTablespace } from './tablespaces.ts';
import { planBytes, planFiles, type RouteFile, type WalRoute } from './wal-route.ts';
import type { WalSurvey } from './wal-survey.ts';

/** A commit by its number, its time and where its record begins. */
export interface CommitFacts {
  readonly xid: number;
  readonly at: Timestamp;
  readonly lsn: bigint;
}

/** The last commit of a stretch of WAL, and why it is not known when that WAL cannot be read. */
export interface LastStoredCommit {
  readonly commit: CommitFacts | null;
  readonly problem: string | null;
}

/** What a restore would do, and from which state that was concluded. Nothing was written for it. */
export interface RestoreProposal {
  /** Executing refuses when this is no longer so. */
  readonly madeFrom: {
    readonly repository: string;
    /** By our clock, in milliseconds since 1970. */
    readonly at: number;
    /** The end of the stored WAL, then. */
    readonly durableEnd: bigint;
  };
  readonly into: string;
  /** Whether the server is started, recovered and checked, or left for somebody to start. */
  readonly start: boolean;
  readonly snapshot: SnapshotFacts;
  /** Newer snapshots that do not serve, with the reason. */
  readonly passedOver: readonly Rejection[];
  readonly route: WalRoute;
  readonly target: {
    readonly asked: RecoveryTarget;
    readonly exclusive: boolean;
    /** The record at which recovery stops, and whether it is replayed itself. */
    readonly recordLsn: bigint;
    readonly inclusive: boolean;
    readonly timeline: number;
    /** Where recovery will be. */
    readonly reachedLsn: bigint;
    readonly lastCommit: CommitFacts | null;
    /** Transactions that are prepared and open there, of those prepared since the backup began. */
    readonly prepared: readonly OpenPrepared[];
    readonly notes: readonly string[];
  };
  /** The WAL plan: exactly these files exist for the recovery. */
  readonly wal: {
    readonly files: readonly RouteFile[];
    readonly from: bigint;
    readonly to: bigint;
    readonly bytes: number;
  };
  /** What the repository holds behind the target and will not be there afterwards. */
  readonly lost: {
    readonly bytes: bigint;
    readonly durableEnd: bigint;
    readonly firstCommit: CommitFacts | null;
    readonly lastCommit: CommitFacts | null;
  };
  /** In a new place, over a used data directory, or beginning with clones of another one. */
  readonly manner: 'new' | 'delta' | 'clone';
  readonly cloneFrom: string | null;
  /** With their places; empty when the cluster has none. */
  readonly tablespaces: readonly PlacedTablespace[];
  /** What replaying the WAL asks for. */
  readonly survey: WalSurvey;
  /** How much of the files is there already; null in a new place that is empty. */
  readonly reuse: ReuseEstimate | null;
  /** `freeBytes` is that of the data directory's file system; each file system has its own sum. */
  readonly size: {
    readonly dataBytes: number;
    readonly neededBytes: number;
    readonly freeBytes: number;
    readonly fileSystems: readonly FileSystemNeed[];
  };
  readonly estimateSeconds: number;
  readonly reachable: readonly ReachableRange[];
  readonly warnings: readonly string[];
  /** Those of the warnings that say what is stored and not brought back although nobody asked for that. */
  readonly leftOut: readonly string[];
}

/** All that a proposal is concluded from. */
export interface ProposalFacts {
  readonly repository: string;
  readonly now: number;
  readonly into: string;
  readonly start: boolean;
  readonly asked: RecoveryTarget;
  readonly exclusive: boolean;
  readonly inventory: WalInventory;
  readonly resolved: ResolvedTarget;
  readonly rejected: readonly Rejection[];
  readonly reachable: readonly ReachableRange[];
  /** What is to be said of how the target was found. */
  readonly located: readonly string[];
  readonly prepared: readonly OpenPrepared[];
  /** Behind the target. */
  readonly firstStored: CommitFacts | null;
  readonly lastStored: LastStoredCommit;
  /** For the latest: the last moment at which what is stored was known to be all that the server had. */
  readonly knownUntil: Timestamp | null;
  readonly manner: RestoreProposal['manner'];
  readonly cloneFrom: string | null;
  readonly survey: WalSurvey;
  readonly tablespaces: readonly PlacedTablespace[];
  readonly reuse: ReuseEstimate | null;
  /** The data directory first. */
  readonly volumes: readonly Volume[];
}

/** A place to which files go. */
export interface Volume {
  readonly path: string;
  /** Names the file system. */
  readonly device: number;
  readonly freeBytes: number;
  readonly dataBytes: number;
}

/** Cautious rates of a machine with two cores and one disk; the estimate is shown as "about". */
const RESTORE_BYTES_PER_SECOND = 150e6;
const COMPARE_BYTES_PER_SECOND = 400e6;
const REPLAY_BYTES_PER_SECOND = 40e6;
const START_SECONDS = 2;
/** PostgreSQL keeps about so much WAL while it replays (max_wal_size and what a checkpoint lets pile up). */
const REPLAY_WAL_BYTES_MAX = 2 * 1024 ** 3;

/**
 * Puts together what a restore would do. Pure: the same facts give the same proposal.
 *
 * Errors: RESTORE_EXTENSION_NEEDED, RESTORE_SPACE_SHORT.
 */
export function proposeRestore(facts: ProposalFacts): RestoreProposal {
  const { resolved, inventory } = facts;
  const { snapshot, reach } = resolved.candidate;
  refuseExtensions(facts);
  const range = { from: snapshot.start, to: resolved.neededEnd };
  const files = planFiles(inventory, resolved.route, range);
  const walBytes = planBytes(resolved.route, files);
  const fileSystems = groupByFileSystem(measureNeeds(facts, walBytes));
  // A clone that shares its blocks takes almost nothing, which only the file system knows; a full one is said when it is met.
  if (facts.manner !== 'clone') refuseShort(fileSystems, facts);
  return {
    madeFrom: { repository: facts.repository, at: facts.now, durableEnd: reach },
    into: facts.into,
    start: facts.start,
    snapshot,
    passedOver: facts.rejected,
    route: resolved.route,
    target: {
      asked: facts.asked,
      exclusive: facts.exclusive,
      recordLsn: resolved.recordLsn,
      inclusive: resolved.inclusive,
      timeline: resolved.route.timeline,
      reachedLsn: resolved.reachedLsn,
      lastCommit: commitFacts(resolved.lastCommit),
      prepared: facts.prepared,
      notes: [
        ...facts.located,
        ...resolved.notes,
        ...describeKnown(facts.knownUntil, resolved.lastCommit?.transaction.at ?? null),
        ...describeOpenPrepared(facts.prepared),
      ],
    },
    wal: { files, ...range, bytes: walBytes },
    lost: {
      bytes: reach > resolved.reachedLsn ? reach - resolved.reachedLsn : 0n,
      durableEnd: reach,
      firstCommit: facts.firstStored,
      lastCommit: facts.lastStored.commit,
    },
    manner: facts.manner,
    cloneFrom: facts.cloneFrom,
    tablespaces: facts.tablespaces,
    survey: facts.survey,
    reuse: facts.reuse,
    size: {
      dataBytes: snapshot.bytes,
      neededBytes: fileSystems.reduce((sum, { neededBytes }) => sum + neededBytes, 0),
      freeBytes: facts.volumes[0]!.freeBytes,
      fileSystems,
    },
    estimateSeconds: estimateSeconds(facts, walBytes),
    reachable: facts.reachable,
    warnings: [
      ...describeSurvey(facts),
      ...describeClone(facts, fileSystems),
      ...snapshot.checksumFailures.map(
        (failure) => `The server found wrong page checksums during this backup: ${failure}`,
      ),
      ...(facts.lastStored.problem === null
        ? []
        : [`WAL behind the target cannot be read: ${facts.lastStored.problem}.`]),
    ],
    leftOut: [],
  };
}

/** What each place needs: files, less those that lie there already, and the WAL in the data directory. */
function measureNeeds({ volumes, reuse, into, start }: ProposalFacts, walBytes: number): SpaceNeed[] {
  const present = reuse?.from === into ? reuse.presentBytes : 0;
  const all = volumes.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
  const missing = all === 0 ? 0 : Math.max(0, all - present) / all;
  const spoolBytes = start ? 0 : walBytes;
  return volumes.map(({ path, device, freeBytes, dataBytes }, number) => {
    const wal = number === 0 ? spoolBytes + Math.min(walBytes, REPLAY_WAL_BYTES_MAX) : 0;
    return { path, device, freeBytes, neededBytes: Math.ceil(dataBytes * missing) + wal };
  });
}

function estimateSeconds({ reuse, resolved }: ProposalFacts, walBytes: number): number {
  const { bytes } = resolved.candidate.snapshot;
  const reused = reuse?.reusedBytes ?? 0;
  const compared = reuse === null ? 0 : bytes / COMPARE_BYTES_PER_SECOND;
  return Math.ceil(
    START_SECONDS + compared + (bytes - reused) / RESTORE_BYTES_PER_SECOND + walBytes / REPLAY_BYTES_PER_SECOND,
  );
}

function describeSurvey({ survey, start }: ProposalFacts): string[] {
  const spaces = survey.tablespaces.filter(({ path }) => path !== null);
  return [
    ...spaces.map(
      ({ oid, path, lsn }) =>
        `The WAL makes tablespace ${oid} at ${formatLsn(lsn)}: recovery puts it at "${path}", outside the restored directory.`,
    ),
    ...(start || survey.extensions.length === 0
      ? []
      : [`${describeExtensions(survey)}: the server must load it (shared_preload_libraries) to recover.`]),
  ];
}

function describeClone({ manner }: ProposalFacts, fileSystems: readonly FileSystemNeed[]): string[] {
  const short = fileSystems.filter(({ freeBytes, neededBytes }) => freeBytes < neededBytes);
  if (manner !== 'clone' || short.length === 0) return [];
  return ['There is too little space for copies: this works only when the file system shares the blocks of clones.'];
}

function describeExtensions({ extensions }: WalSurvey): string {
  return `The WAL has records of resource manager ${extensions.join(', ')}, which a library of an extension brings`;
}

/** A throw-away server loads no library, so that it could only break off in the middle. */
function refuseExtensions({ survey, start }: ProposalFacts): void {
  if (!start || survey.extensions.length === 0) return;
  throw new HoldfastError('RESTORE_EXTENSION_NEEDED', 'cannot replay this WAL in an isolated server', {
    detail: `${describeExtensions(survey)}, and an isolated server loads none.`,
    hints: ['Restore without --start, and start PostgreSQL with the library in shared_preload_libraries.'],
  });
}

/** What came in by another way than the receiver, as by a rescue, may be newer than all that the receiver knew. */
function describeKnown(knownUntil: Timestamp | null, lastCommit: Timestamp | null): string[] {
  if (knownUntil === null || (lastCommit !== null && lastCommit > knownUntil)) return [];
  return [
    `What is stored was all that the server had at ${formatTimestamp(knownUntil)}; what it wrote later is not known.`,
  ];
}

/** The parts of a commit's landmark that people see. */
export function commitFacts(
  landmark: { readonly lsn: bigint; readonly transaction: { readonly xid: number; readonly at: Timestamp } } | null,
): CommitFacts | null {
  if (landmark === null) return null;
  return { xid: landmark.transaction.xid, at: landmark.transaction.at, lsn: landmark.lsn };
}

/**
 * Why a proposal that was made earlier can no longer be executed, in words; null while it can. More WAL than then does no harm: the target
 * stays the one that was shown.
 */
export function whyOutdated(
  proposal: RestoreProposal,
  now: { repository: string; snapshots: readonly SnapshotFacts[]; durableEnd: bigint; into: string },
): string | null {
  if (now.repository !== proposal.madeFrom.repository) return 'it was made from another repository';
  if (now.into !== proposal.into) return `it was made for "${proposal.into}"`;
  if (!now.snapshots.some(({ id }) => id === proposal.snapshot.id)) {
    return `snapshot ${shortId(proposal.snapshot.id)} is no longer there`;
  }
  if (now.durableEnd >= proposal.wal.to) return null;
  return `WAL that it needs up to ${formatLsn(proposal.wal.to)} now ends at ${formatLsn(now.durableEnd)}`;
}

/** The error for a target that no snapshot leads to, with what can be reached instead. */
export function targetUnreachable(options: {
  target: RecoveryTarget;
  rejected: readonly Rejection[];
  /** Ranges of this history, in words. */
  reachable: readonly string[];
  /** Ranges of histories that were left, for whoever wants one of those. */
  elsewhere: readonly string[];
}): HoldfastError {
  const { target, rejected, reachable } = options;
  const reasons = rejected.map(({ snapshot, reason }) => `Snapshot ${shortId(snapshot.id)} does not serve: ${reason}.`);
  const shown = reasons.slice(0, REASONS_SHOWN_MAX);
  const more = reasons.length > shown.length ? [`${reasons.length - shown.length} more do not serve either.`] : [];
  const ranges =
    reachable.length === 0 ? 'Nothing can be restored on this history.' : `Can be restored: ${reachable.join('; ')}.`;
  return new HoldfastError('RESTORE_TARGET_UNREACHABLE', `cannot restore to "${formatRecoveryTarget(target)}"`, {
    detail: [ranges, ...shown, ...more].join('\n'),
    hints: [
      ...(reachable.length === 0 ? [] : ['Choose a target inside a range that can be restored, or latest.']),
      ...options.elsewhere,
    ],
  });
}

/** A long list of snapshots would bury the ranges. */
const REASONS_SHOWN_MAX = 3;
