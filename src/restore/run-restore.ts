import { formatBytes, silentProgress } from '../lib/index.ts';
import type { ChunkIndex, Repository } from '../repository/index.ts';
import { findFullest } from './measure-space.ts';
import { type PreparedRestore, prepareRestore, type RestoreRequest } from './prepare-restore.ts';
import type { RestoreProposal } from './proposal.ts';
import { walFileReader } from './read-wal-file.ts';
import { MARKER_NAME } from './restore-marker.ts';
import { openRestoreRecord, type RestoreRecord } from './restore-record.ts';
import { type Owner, RecoverySpool, SPOOL_DIRECTORY } from './spool/index.ts';
import { checkInstance, type InstanceChecks } from './stages/check-instance.ts';
import { checkWalTablespaces } from './stages/check-wal-tablespaces.ts';
import { releaseTablespaces } from './stages/claim-tablespaces.ts';
import { type ClaimedTarget, claimTarget } from './stages/claim-target.ts';
import { extractFiles, type Reuse } from './stages/extract-files.ts';
import { DamageAdvisor } from './stages/find-sound-snapshot.ts';
import { inspectTarget, type TargetPlace } from './stages/inspect-target.ts';
import { type Loss, measureLoss } from './stages/measure-loss.ts';
import { occupyTarget } from './stages/occupy-target.ts';
import { placeWal } from './stages/place-wal.ts';
import { prepareStart } from './stages/prepare-start.ts';
import { readOutline } from './stages/read-outline.ts';
import { type RestoredInstance, recoverInstance, type StartOptions } from './stages/recover-instance.ts';
import { refuseOutdated } from './stages/refuse-outdated.ts';
import { sealTarget, syncTarget } from './stages/sync-target.ts';
import { targetErrorOf } from './stages/target-error.ts';
import { writeManifest } from './stages/write-manifest.ts';
import { writeRecovery } from './stages/write-recovery.ts';

/** A restore, and who is told of it. */
export interface RestoreOptions extends RestoreRequest {
  /** A proposal that was shown before: only this is executed, or nothing. */
  readonly proposal?: RestoreProposal;
  /** Is told what will be done before anything is written; throwing ends the restore. */
  readonly onProposal?: (proposal: RestoreProposal) => void | Promise<void>;
  /** When given, a server is started, recovered and checked; otherwise everything is made ready for somebody to start one. */
  readonly start?: StartOptions;
  /** Who shall own the restored files, when we are root. */
  readonly owner?: Owner;
  readonly stateDirectory: string;
  /** Whether all is read back and a `backup_manifest` is made of it; not when the server is started, which changes files at once. */
  readonly manifest?: boolean;
  /** Worker threads; one for each core unless said otherwise. */
  readonly workers?: number;
}

/** What became of a restore. */
export interface RestoreResult {
  readonly proposal: RestoreProposal;
  /** Null when no server was started: then the first start recovers, to the position of the proposal. */
  readonly reached: { readonly lsn: bigint; readonly newTimeline: number } | null;
  readonly lost: Loss;
  readonly files: number;
  /** Of files as the server has them, without WAL. */
  readonly bytes: number;
  /** What was there before; null in a new place that was empty. */
  readonly reuse: Reuse | null;
  readonly seconds: number;
  /** The path of the `backup_manifest`; null unless it was asked for. */
  readonly manifest: string | null;
  /** A running server, which the caller stops or releases. */
  readonly instance: RestoredInstance | null;
  readonly checks: InstanceChecks | null;
  readonly notes: readonly string[];
}

/**
 * Restores a cluster to a moment, into a place of its own.
 *
 * Nothing that is in the target is removed unless it is left over from a restore of ours; what that one brought and is right is not fetched again. Until the last step the directory cannot be started:
 * its `pg_control` is missing. Recovery goes to a position on a fixed timeline, by a plan of exactly the WAL that exists, and a server that
 * comes to any other position is stopped (rule A3). On failure the directory is marked, and the error says what to do.
 *
 * Errors: those of the stages; each begins with RESTORE_, or is the store's, the repository's or the server's own.
 */
export async function runRestore(options: RestoreOptions): Promise<RestoreResult> {
  const prepared = await prepareRestore(options, options.start !== undefined);
  const proposal = refuseOutdated(options.proposal, prepared);
  await options.onProposal?.(proposal);
  await using cleanup = new AsyncDisposableStack();
  const loading = loadIndexLater(options.repository, cleanup);
  const record = await openRestoreRecord(options, proposal);
  await record.started();
  try {
    return await executeRestore(options, { ...prepared, proposal }, await loading, record);
  } catch (thrown) {
    const error = targetErrorOf(thrown, await fullestOf(proposal));
    await record.failed(error);
    throw error;
  }
}

/** Loads the index while the beginning of the restore is written down; closed in any case. */
function loadIndexLater(repository: Repository, cleanup: AsyncDisposableStack): Promise<ChunkIndex> {
  const loading = repository.loadIndex();
  // Whoever waits for it hears of its failure, and then there is nothing to close.
  cleanup.defer(() =>
    loading.then(
      (index) => index.close(),
      () => {},
    ),
  );
  loading.catch(() => {});
  return loading;
}

async function recheckWalTablespaces({ tablespaces, start }: RestoreOptions, proposal: RestoreProposal): Promise<void> {
  if (start === undefined) return;
  const wishes = tablespaces ?? { mappings: [] };
  await checkWalTablespaces({ inWal: proposal.survey.tablespaces, wishes, placed: proposal.tablespaces, start: true });
}

/** The place that is told of when writing fails: the system names none, and of several file systems the fullest is the likeliest. */
function fullestOf({ into, tablespaces }: RestoreProposal): Promise<string> {
  return findFullest([into, ...tablespaces.flatMap(({ path }) => (path === null ? [] : [path]))]);
}

/** What the place holds now that nobody else restores into it; a delta and its running server are looked at when it is claimed. */
async function lookAgain(place: TargetPlace, proposal: RestoreProposal): Promise<TargetPlace> {
  if (place.state === 'missing' || place.state === 'used') return place;
  return inspectTarget(place.path, proposal.madeFrom.repository, { isHeld: true });
}

async function executeRestore(
  options: RestoreOptions,
  { proposal, place, facts, route }: PreparedRestore,
  index: ChunkIndex,
  record: RestoreRecord,
): Promise<RestoreResult> {
  const { repository, clock, start, progress = silentProgress } = options;
  const { snapshot } = proposal;
  const begun = clock.monotonic();
  const startedAt = clock.now();
  await using cleanup = new AsyncDisposableStack();
  const { readChunk } = repository.openChunkReader(index);
  const advisor = new DamageAdvisor({ repository, proposal, readChunk });
  const outline = await advisor.during(readOutline(snapshot, readChunk));
  const { owner, binDirectory } = await prepareStart({ proposal, place, start, owner: options.owner });

  // Held from before it is looked at for the last time: another restore may have come, or come to its end, since the proposal.
  await using _held = await occupyTarget(place.path, { isMissing: place.state === 'missing' });
  // The marker is the first file in the directory, so that a restore broken off anywhere below is known for one.
  const target = await claimTarget({
    place: await lookAgain(place, proposal),
    proposal,
    topLevel: outline.topLevel,
    owner,
    startedAt,
  });
  record.claimed(target);
  const extraction = { ...options, progress, index, readChunk, proposal, outline, target, onLost: advisor.noteLost };
  const extracted = await advisor.during(extractFiles(extraction));
  const written = await writeRecovery({ proposal, outline, target });
  const spool = new RecoverySpool(target.path, owner);
  const read = walFileReader(repository, proposal);
  await placeWal({ ...options, proposal, spool, read, progress, limits: start?.fetch });
  options.signal?.throwIfAborted();
  await syncTarget(target, { ...extracted, files: [...extracted.files, ...written.files] }, progress);
  const manifest = options.manifest === true ? await writeManifest({ ...extraction, made: written.files }) : null;
  // Only now may a server be started: all that its recovery needs, or the refusal to go on without it, is durable.
  await sealTarget(target);
  await record.sealed();
  await releaseTablespaces(target);

  // Looked at when it was proposed, long ago: what recovery would write to outside must still be free.
  await recheckWalTablespaces(options, proposal);
  const recovery = { ...options, proposal, target, spool, read, progress };
  const recovered =
    start === undefined || binDirectory === null ? null : await recoverInstance({ ...recovery, start, binDirectory });
  if (recovered !== null) cleanup.defer(() => recovered.stop());
  const checks = recovered === null ? null : await checkInstance(recovered.instance, proposal);
  const lost = await measureLoss(repository, route, proposal);
  await record.done(lost, recovered !== null);
  // The server is the caller's from here on.
  if (recovered !== null) cleanup.move();
  return {
    proposal,
    reached: recovered === null ? null : { lsn: proposal.target.reachedLsn, newTimeline: recovered.end.newTimeline! },
    lost,
    files: extracted.files.length,
    bytes: extracted.bytes,
    reuse: proposal.manner === 'new' && !target.goesOn ? null : extracted.reuse,
    seconds: (clock.monotonic() - begun) / 1000,
    manifest,
    instance: recovered,
    checks,
    notes: [
      ...facts.notes,
      ...record.notes,
      ...written.notes,
      ...describeReuse(extracted.reuse, target),
      ...describeChecks(checks),
      ...describeManifest(manifest, target),
      ...proposal.leftOut,
      ...describeRest(lost, target, proposal),
    ],
  };
}

/** Where the old things are, and what a clone turned out to be. */
function describeReuse({ clonedBytes, copiedBytes }: Reuse, { marker, path }: ClaimedTarget): string[] {
  return [
    ...(marker.aside === undefined
      ? []
      : [
          `What was in the directory besides the data, its WAL above all, was moved into "${path}/${marker.aside.name}": remove it once nothing of it is missed.`,
        ]),
    ...(copiedBytes === 0
      ? []
      : [
          `${formatBytes(copiedBytes)} were copied and ${formatBytes(clonedBytes)} cloned: where the file system cannot clone, a copy takes the time and the space of one.`,
        ]),
  ];
}

/** How the manifest is used: the WAL lies elsewhere than pg_verifybackup looks for it, and our own files are in no backup. */
function describeManifest(manifest: string | null, { path }: ClaimedTarget): string[] {
  if (manifest === null) return [];
  const ours = [MARKER_NAME, SPOOL_DIRECTORY].map((name) => `--ignore=${name}`).join(' ');
  return [
    `All was read back, as far as memory held it from there, and is as in the backup; until a server is started on it, pg_verifybackup --no-parse-wal ${ours} "${path}" tells whether it still is.`,
  ];
}

/** What has to be known before the server's answers are believed, and before it is started with its own configuration. */
function describeChecks(checks: InstanceChecks | null): string[] {
  return [
    ...((checks?.collationMismatches.length ?? 0) > 0
      ? [
          'Collations have another version on this machine: index scans are turned off, and indexes on text must be rebuilt before use.',
        ]
      : []),
    ...((checks?.subscriptions.length ?? 0) > 0
      ? [
          'It has subscriptions, which are at rest here: disable or drop them before it is started beside the old server, whose slots they would move.',
        ]
      : []),
  ];
}

/** What else a person should know in the end. */
function describeRest(lost: Loss, { owner, path }: ClaimedTarget, { tablespaces }: RestoreProposal): string[] {
  const isRoots = process.getuid?.() === 0 && owner === undefined;
  // A change of owner does not go through the links in pg_tblspc.
  const places = [path, ...tablespaces.flatMap((space) => (space.path === null ? [] : [space.path]))];
  const named = places.map((place) => `"${place}"`).join(', ');
  return [
    ...(lost.uncounted === null ? [] : [`Not all that is lost was counted: ${lost.uncounted}.`]),
    ...(isRoots
      ? [`The files belong to root, as whom no server runs: give ${named} to its user (chown -R) first.`]
      : []),
  ];
}
