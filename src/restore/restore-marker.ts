import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf, HoldfastError, messageOf } from '../lib/index.ts';
import { type Owner, syncDirectory } from './spool/index.ts';

/** The file in a restored directory that says what it is and how far the restore came. It is written before anything else. */
export const MARKER_NAME = 'holdfast-restore.json';

/** The name before whoever restores into a directory stands, as long as he does. */
export const OCCUPIED_PREFIX = `${MARKER_NAME}.by.`;

/** The marker, one that is being written, and the names of those who restore. */
export function isMarkerName(name: string): boolean {
  return name === MARKER_NAME || name.startsWith(`${MARKER_NAME}.`);
}

/** A directory into which a delta moves what is not data begins so; the rest is the time. */
export const ASIDE_PREFIX = 'holdfast-replaced-';

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

const marker = z.object({
  version: z.literal(1),
  /**
   * `restoring`: files are missing, and the directory cannot be started, as `global/pg_control` comes last. `ready`: complete; a server
   * started on it recovers to the target. `recovered`: a server was started, reached the target and was checked. `failed`: something is wrong
   * with it, and `reason` says what.
   */
  state: z.enum(['restoring', 'ready', 'recovered', 'failed']),
  /** How the files come there: into a place that was empty, over a data directory that was used, or beginning with clones of another one. */
  manner: z.enum(['new', 'delta', 'clone']).default('new'),
  /** The server's system identifier; a delta that was broken off has no `pg_control` that would tell it. */
  system: z.string().optional(),
  /** Where each tablespace is restored that does not lie in the directory itself. */
  tablespaces: z.array(z.object({ oid: z.int(), path: z.string() })).default([]),
  /** Of a delta: the directory, inside this one, to which is moved what does not belong to the data; and whether all of it is there. */
  aside: z
    .object({ name: z.string().regex(new RegExp(`^${ASIDE_PREFIX}[0-9TZ]+$`)), isComplete: z.boolean() })
    .optional(),
  repository: z.string(),
  snapshot: z.string(),
  startedAt: z.string(),
  /** The names that the restore makes in the directory, so that a repetition knows what is ours. Plain names, as it removes them. */
  topLevel: z.array(z.string().regex(/^(?!\.{1,2}$)[^/\0]+$/)),
  target: z.object({ reachedLsn: lsn, recordLsn: lsn, inclusive: z.boolean(), timeline: z.int() }),
  /** Which WAL its recovery takes, up to where: of it the segments that lie ready in the spool. */
  wal: z.object({ lineage: z.string(), timeline: z.int(), to: lsn }).optional(),
  reason: z.string().optional(),
});

export type RestoreMarker = z.infer<typeof marker>;

/**
 * The marker of a directory, null when there is none.
 * Errors: RESTORE_MARKER_UNREADABLE: somebody else's file, or damaged; either way the directory is not ours to touch.
 */
export async function readMarker(directory: string): Promise<RestoreMarker | null> {
  const path = join(directory, MARKER_NAME);
  try {
    return marker.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new HoldfastError('RESTORE_MARKER_UNREADABLE', `cannot read "${path}"`, {
      detail: error instanceof z.ZodError ? 'Expected the record of a restore.' : `Found: ${messageOf(error)}.`,
      hints: ['Choose another directory, or look into this one and remove it yourself.'],
      cause: error,
    });
  }
}

/** Writes the marker, whole or not at all, and makes it durable. */
export async function writeMarker(directory: string, value: RestoreMarker, owner?: Owner): Promise<void> {
  const path = join(directory, MARKER_NAME);
  {
    await using file = await open(`${path}.unfinished`, 'w', 0o600);
    await file.writeFile(`${JSON.stringify(value, null, 2)}\n`);
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    await file.sync();
  }
  await rename(`${path}.unfinished`, path);
  await syncDirectory(directory);
}
