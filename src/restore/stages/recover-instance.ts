import { chown, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, codeOf, HoldfastError, messageOf, type Progress } from '../../lib/index.ts';
import { type EndOfRecovery, type Instance, putBackConfiguration, startInstance } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import { inPlaceSettings, recoverySettings } from '../recovery-settings.ts';
import type { FetchLimits, Owner, ReadWalFile, RecoverySpool } from '../spool/index.ts';
import { WalFetcher } from '../spool/index.ts';
import { reachedOtherPosition, whyNotReached } from '../verify-reached.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { CONTROL_FILE } from './extract-files.ts';

/** How a restored server is started. */
export interface StartOptions {
  /** Where `postgres` of the snapshot's major version is; looked for when not given. */
  readonly binDirectory?: string;
  /** Names the socket; nothing listens on the network. */
  readonly port?: number;
  /** The superuser to look into the databases with; `postgres` when not given. */
  readonly user?: string;
  /** Bounds of fetching WAL, for tests. */
  readonly fetch?: FetchLimits;
}

/** A restored server that runs in isolation. */
export interface RestoredInstance {
  readonly instance: Instance;
  /** Where its socket, its configuration and its log lie. */
  readonly runDirectory: string;
  readonly binDirectory: string;
  /** Ends the server and removes what was made to run it. The restored directory stays, and can be started in the ordinary way. */
  stop(): Promise<void>;
  /** Lets the server go on when this process ends; `pg_ctl stop` ends it. */
  release(): Promise<void>;
}

/**
 * Starts a server on the restored directory, feeds it WAL and waits until it has recovered to exactly the proposed position.
 *
 * Whatever else happens, the server is stopped. One that opened at another position has its `pg_control` taken away, so that nobody mistakes
 * the directory for what was asked for.
 *
 * Errors: RESTORE_STOPPED_EARLY, RESTORE_WENT_TOO_FAR, RESTORE_WAL_UNAVAILABLE, RESTORE_RECOVERY_FAILED; those of `startInstance`.
 */
export async function recoverInstance(options: {
  proposal: RestoreProposal;
  target: ClaimedTarget;
  spool: RecoverySpool;
  read: ReadWalFile;
  start: StartOptions;
  /** Where the server's programs are, as found before anything was restored. */
  binDirectory: string;
  clock: Clock;
  progress: Progress;
  signal?: AbortSignal | undefined;
}): Promise<RestoredInstance & { end: EndOfRecovery }> {
  const { proposal, target, spool, read, start, binDirectory, clock, progress } = options;
  const { survey, tablespaces } = proposal;
  const segments = proposal.wal.files.filter(({ kind }) => kind === 'segment').map(({ name }) => name);
  progress.begin('replaying WAL', { unit: 'segments', total: segments.length });
  const onFetched = () => progress.advance(1);
  const fetcher = new WalFetcher({ spool, files: segments, read, clock, limits: start.fetch ?? {}, onFetched });
  fetcher.start();
  const runDirectory = await makeRunDirectory(target.owner);
  const restored = { binDirectory, runDirectory };
  try {
    const instance = await startInstance({
      dataDirectory: target.path,
      ...restored,
      settings: { ...instanceSettings(proposal), ...inPlaceSettings(survey, tablespaces) },
      required: survey.settings,
      runAs: target.owner,
      clock,
      signal: options.signal,
      ...(start.port === undefined ? {} : { port: start.port }),
      ...(start.user === undefined ? {} : { user: start.user }),
    });
    const end = await waitForTarget(instance, options);
    await fetcher.stop();
    await spool.dispose();
    return { instance, end, ...restored, ...endingsOf(instance, target.path, runDirectory) };
  } catch (error) {
    await rm(runDirectory, { recursive: true, force: true });
    throw fetcher.failure === undefined ? error : addServersWords(fetcher.failure, error);
  } finally {
    await fetcher.stop();
  }
}

/** Waits for the end of recovery and holds it against the proposal. The server is stopped unless all is well. */
async function waitForTarget(
  instance: Instance,
  { proposal, target, signal }: { proposal: RestoreProposal; target: ClaimedTarget; signal?: AbortSignal | undefined },
): Promise<EndOfRecovery> {
  try {
    const end = await instance.waitForEndOfRecovery(signal === undefined ? {} : { signal });
    if (whyNotReached(proposal.target, end) === null) return end;
    await instance.stop('immediate');
    await rename(join(target.path, CONTROL_FILE), join(target.path, `${CONTROL_FILE}.holdfast-failed`));
    throw reachedOtherPosition(target.path, proposal.target, end);
  } catch (error) {
    await instance.stop('immediate');
    throw recoveryFailed(target.path, error);
  }
}

function instanceSettings(proposal: RestoreProposal): Record<string, string> {
  const {
    recovery_target_lsn,
    recovery_target_inclusive,
    recovery_target_timeline,
    recovery_target_action,
    restore_command,
  } = recoverySettings(proposal.target);
  // The configuration of an instance is its own, so that there are no other targets to be emptied.
  return {
    recovery_target_lsn: recovery_target_lsn!,
    recovery_target_inclusive: recovery_target_inclusive!,
    recovery_target_timeline: recovery_target_timeline!,
    recovery_target_action: recovery_target_action!,
    restore_command: restore_command!,
  };
}

/** A directory with a short name, as a socket's path may have only about a hundred bytes. */
async function makeRunDirectory(owner: Owner | undefined): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-'));
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  return path;
}

function endingsOf(instance: Instance, dataDirectory: string, runDirectory: string) {
  return {
    stop: async () => {
      await instance.stop('fast');
      await rm(runDirectory, { recursive: true, force: true });
    },
    release: async () => {
      instance.release();
      // Whoever starts the directory next does so in the ordinary way, with its own configuration.
      await putBackConfiguration(dataDirectory);
    },
  };
}

/** What the server's end means for the restore; errors that are plain enough stay as they are. */
function recoveryFailed(place: string, error: unknown): unknown {
  switch (codeOf(error)) {
    case 'PG_RECOVERY_TARGET_NOT_REACHED':
    case 'PG_RECOVERY_TARGET_TOO_EARLY':
      return wrap('RESTORE_STOPPED_EARLY', place, error, 'recovery ended elsewhere than proposed');
    case 'PG_INSTANCE_EXITED':
      return wrap('RESTORE_RECOVERY_FAILED', place, error, messageOf(error));
    default:
      return error;
  }
}

function wrap(code: string, place: string, error: unknown, what: string): HoldfastError {
  const { detail, hints } = error as HoldfastError;
  return new HoldfastError(code, `restore into "${place}" failed: ${what}`, {
    ...(detail === undefined ? {} : { detail }),
    hints: [...hints, 'The directory is kept as it is; restore again into another one.'],
    cause: error,
  });
}

/** Why WAL did not come is the cause; what the server made of it shows that it stopped and did not open. */
function addServersWords(failure: HoldfastError, error: unknown): HoldfastError {
  const { code, message, detail = '', hints, retryable } = failure;
  return new HoldfastError(code, message, {
    detail: `${detail} The server was stopped before it could open: ${messageOf(error)}.`.trimStart(),
    hints,
    retryable,
    cause: failure.cause,
  });
}
