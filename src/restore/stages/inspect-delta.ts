import { lstat, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { parseServerVersion, readControlFile } from '../../postgres/index.ts';
import { type RestoreMarker, readMarker } from '../restore-marker.ts';
import { shortId } from '../snapshot-facts.ts';
import {
  describePlace,
  exists,
  listEntries,
  refuseRunning,
  requireWritable,
  type TargetPlace,
  unusable,
} from './inspect-target.ts';
import { refuseOccupied } from './occupy-target.ts';

/** Which cluster is restored: only a directory of the same one may be gone over or cloned. */
export interface ClusterIdentity {
  readonly repository: string;
  readonly system: string;
  readonly serverMajor: number;
}

/**
 * Looks at a data directory over which a delta shall go, without changing anything: it must be one of the same cluster, with no server running
 * on it, or one over which a restore of ours was broken off.
 *
 * Errors: RESTORE_TARGET_RUNNING, RESTORE_TARGET_BUSY, RESTORE_TARGET_UNUSABLE, RESTORE_TARGET_FOREIGN, RESTORE_MARKER_UNREADABLE.
 */
export async function inspectDelta(into: string, cluster: ClusterIdentity): Promise<TargetPlace> {
  const path = resolve(into);
  const entries = await listEntries(path);
  if (entries === null) throw unusable(path, 'Expected a data directory for the delta, found nothing.', PLAIN);
  await requireWritable(path, 'to restore into it');
  await refuseRunning(path);
  refuseOccupied(path, entries);
  const marker = await readMarker(path);
  const isBrokenOff = marker !== null && marker.state === 'restoring';
  if (isBrokenOff && marker.repository !== cluster.repository) throw otherRestore(path, marker);
  await requireSame(path, cluster, marker?.system ?? null);
  await requireMovableWal(path);
  return { path, state: 'used', marker: isBrokenOff ? marker : null, ...(await describePlace(path)) };
}

/**
 * Looks at a data directory whose files shall be cloned. A server may run on it: what is cloned is compared with the backup, page by page,
 * before it is used, so that a page caught while it is written is only one more that is fetched.
 *
 * Errors: RESTORE_TARGET_FOREIGN, RESTORE_CLONE_SOURCE_UNUSABLE.
 */
export async function inspectCloneSource(from: string, cluster: ClusterIdentity): Promise<string> {
  const path = resolve(from);
  try {
    await stat(join(path, 'PG_VERSION'));
  } catch (error) {
    throw new HoldfastError('RESTORE_CLONE_SOURCE_UNUSABLE', `cannot clone from "${path}"`, {
      detail: `Expected a data directory: ${messageOf(error)}.`,
      hints: ['Name the data directory of a server of this cluster, or leave --clone-from out.'],
    });
  }
  const marker = await readMarker(path);
  await requireSame(path, cluster, marker?.system ?? null);
  return path;
}

/** Compares the cluster of a directory with ours; `known` says what a restore of ours wrote down before it took `pg_control` away. */
async function requireSame(path: string, cluster: ClusterIdentity, known: string | null): Promise<void> {
  if (await exists(join(path, 'global', 'pg_control'))) {
    const { systemId } = await readControlFile(path);
    if (systemId !== cluster.system) throw foreign(path, `cluster ${cluster.system}`, `cluster ${systemId}`);
    const version = await readVersion(path);
    if (version === cluster.serverMajor) return;
    throw foreign(path, `PostgreSQL ${cluster.serverMajor}`, `PostgreSQL ${version}`);
  }
  if (known === cluster.system) return;
  throw foreign(path, `cluster ${cluster.system}`, known === null ? 'no pg_control' : `cluster ${known}`);
}

async function readVersion(path: string): Promise<number> {
  return parseServerVersion(await readFile(join(path, 'PG_VERSION'), 'utf8')).major;
}

/** The old WAL is moved aside by renaming, which a mount point does not allow; seen before anything is touched. */
async function requireMovableWal(path: string): Promise<void> {
  const wal = join(path, 'pg_wal');
  try {
    const found = await lstat(wal);
    if (found.dev === (await stat(path)).dev) return;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const detail = `"${wal}" is a file system of its own, so that the WAL in it cannot be moved aside, and it is never deleted.`;
  throw unusable(path, detail, 'Save the WAL and unmount it first, or restore into another directory.');
}

const PLAIN = 'Leave --delta out to restore into a new directory.';

function foreign(path: string, expected: string, found: string): HoldfastError {
  return new HoldfastError('RESTORE_TARGET_FOREIGN', `refusing to use "${path}": it is not of this cluster`, {
    detail: `Expected a data directory of ${expected}, found ${found}.`,
    hints: ['Check the directory; one of another cluster is never written over or cloned.'],
  });
}

function otherRestore(path: string, marker: RestoreMarker): HoldfastError {
  return new HoldfastError(
    'RESTORE_TARGET_FOREIGN',
    `refusing to use "${path}": another restore was broken off there`,
    {
      detail: `It was begun on ${marker.startedAt} from snapshot ${shortId(marker.snapshot)} of repository ${marker.repository}.`,
      hints: ['Repeat it from that repository, or choose another directory.'],
    },
  );
}
