import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { whyServerMayRun } from '../../postgres/index.ts';
import { isMarkerName, MARKER_NAME, type RestoreMarker, readMarker } from '../restore-marker.ts';
import { type Owner, SPOOL_DIRECTORY } from '../spool/index.ts';
import { describeVolume } from './inspect-tablespaces.ts';
import { refuseOccupied } from './occupy-target.ts';

/** A place where a restore may go. */
export interface TargetPlace {
  /** Absolute. */
  readonly path: string;
  /**
   * `missing`: to be made. `empty`: there. `unfinished`: holds nothing but a restore of ours that was broken off. `used`: a data directory that
   * a delta goes over.
   */
  readonly state: 'missing' | 'empty' | 'unfinished' | 'used';
  readonly marker: RestoreMarker | null;
  /** Who owns it, or the directory in which it will be made. */
  readonly owner: Owner;
  /** Names its file system. */
  readonly device: number;
  /** What an unprivileged process may still write on its file system. */
  readonly freeBytes: number;
}

/**
 * Looks at the place for a restore without changing anything, and refuses what is not empty: nothing of the user's is ever removed.
 *
 * A directory in which a restore of the same repository was broken off may be used again: it cannot have been started, as its `pg_control`
 * was never written, and it holds only what that restore made.
 *
 * `isHeld`: whoever asks holds it himself. Errors: RESTORE_TARGET_RUNNING, RESTORE_TARGET_BUSY, RESTORE_TARGET_NOT_EMPTY, RESTORE_TARGET_UNUSABLE, RESTORE_MARKER_UNREADABLE.
 */
export async function inspectTarget(
  into: string,
  repository: string,
  options: { isHeld?: boolean } = {},
): Promise<TargetPlace> {
  const path = resolve(into);
  const entries = await listEntries(path);
  if (entries === null) {
    await requireWritable(dirname(path), `to make "${path}" in it`);
    return { path, state: 'missing', marker: null, ...(await describePlace(dirname(path))) };
  }
  await requireWritable(path, 'to restore into it');
  // A restore that could not even write its marker, on a full disk, has put nothing else there.
  if (options.isHeld !== true) refuseOccupied(path, entries);
  const isEmpty = entries.every((name) => name !== MARKER_NAME && isMarkerName(name));
  if (isEmpty) return { path, state: 'empty', marker: null, ...(await describePlace(path)) };
  await refuseRunning(path);
  if (entries.includes('postmaster.pid')) throw notEmpty(path, ['postmaster.pid']);
  const marker = await readMarker(path);
  if (marker === null) throw notEmpty(path, entries);
  await requireUnfinished(path, entries, marker, repository);
  return { path, state: 'unfinished', marker, ...(await describePlace(path)) };
}

/** What a directory holds; null when it is not there. */
export async function listEntries(path: string): Promise<string[] | null> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    if (codeOf(error) === 'ENOTDIR') throw unusable(path, 'Expected a directory or nothing, found a file.', ELSEWHERE);
    throw unusable(path, `Expected a directory: ${messageOf(error)}.`);
  }
}

/** Whose a directory is, and its file system. */
export async function describePlace(path: string): Promise<{ owner: Owner; device: number; freeBytes: number }> {
  const { uid, gid } = await stat(path);
  return { owner: { uid, gid }, ...(await describeVolume(path)) };
}

export async function requireWritable(path: string, purpose: string): Promise<void> {
  try {
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT')
      throw unusable(path, `Expected the directory ${purpose}, found none.`, PARENT_FIRST);
    throw unusable(path, `Expected to be allowed ${purpose}: ${messageOf(error)}.`);
  }
}

async function requireUnfinished(
  path: string,
  entries: readonly string[],
  marker: RestoreMarker,
  repository: string,
): Promise<void> {
  const isStartable = await exists(join(path, 'global', 'pg_control'));
  if (marker.state !== 'restoring' || isStartable) {
    const failed = marker.state === 'failed' ? ` that failed: ${marker.reason}` : '';
    throw new HoldfastError(
      'RESTORE_TARGET_NOT_EMPTY',
      `cannot restore into "${path}": it holds a restored cluster${failed}`,
      {
        detail: `It was restored from snapshot ${marker.snapshot.slice(0, 12)} on ${marker.startedAt}.`,
        hints: ['Choose another directory, or remove this one yourself.'],
      },
    );
  }
  if (marker.manner === 'delta') {
    throw new HoldfastError('RESTORE_TARGET_NOT_EMPTY', `cannot restore into "${path}": a delta was broken off there`, {
      detail: `It was begun on ${marker.startedAt} over the data directory that was there before.`,
      hints: ['Repeat it with --delta, or choose another directory.'],
    });
  }
  const known = new Set([...marker.topLevel, SPOOL_DIRECTORY]);
  const foreign = entries.filter((name) => !known.has(name) && !isMarkerName(name));
  if (foreign.length > 0) throw notEmpty(path, foreign);
  if (marker.repository === repository) return;
  throw new HoldfastError(
    'RESTORE_TARGET_NOT_EMPTY',
    `cannot restore into "${path}": another restore was broken off there`,
    {
      detail: `It was begun on ${marker.startedAt} from repository ${marker.repository}.`,
      hints: ['Choose another directory, or remove this one yourself.'],
    },
  );
}

/** Errors: RESTORE_TARGET_RUNNING. */
export async function refuseRunning(path: string): Promise<void> {
  const detail = await whyServerMayRun(path);
  if (detail === null) return;
  throw new HoldfastError('RESTORE_TARGET_RUNNING', `refusing to restore into "${path}": a server runs there`, {
    detail,
    hints: ['Choose another directory; switch over once what was restored has been checked.'],
  });
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** A full list would be all of somebody's home. */
const NAMES_SHOWN_MAX = 5;

function notEmpty(path: string, found: readonly string[]): HoldfastError {
  const shown = found.slice(0, NAMES_SHOWN_MAX).map((name) => `"${name}"`);
  const more = found.length > shown.length ? ` and ${found.length - shown.length} more` : '';
  return new HoldfastError('RESTORE_TARGET_NOT_EMPTY', `cannot restore into "${path}": it is not empty`, {
    detail: `Expected an empty directory or none, found ${shown.join(', ')}${more}.`,
    hints: ['Choose another directory; nothing that is there is ever removed.'],
  });
}

const ELSEWHERE = 'Choose another directory.';
// Not made here: a parent that is missing is often a disk that is not mounted.
const PARENT_FIRST = 'Check that its disk is mounted, or make it first.';
const CHECK_PERMISSIONS = 'Check the owner and the mode of the directory, and that its disk is not mounted read-only.';

export function unusable(path: string, detail: string, hint = CHECK_PERMISSIONS): HoldfastError {
  return new HoldfastError('RESTORE_TARGET_UNUSABLE', `cannot restore to "${path}"`, { detail, hints: [hint] });
}
