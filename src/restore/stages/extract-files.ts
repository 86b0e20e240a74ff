import { chmodSync, chownSync, closeSync, constants, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Progress } from '../../lib/index.ts';
import {
  type ChunkIndex,
  ExtractPipeline,
  type FetchChunk,
  type FileEntry,
  type Repository,
  readFileMap,
  recordDamage,
} from '../../repository/index.ts';
import type { SnapshotFacts } from '../snapshot-facts.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { readDataFiles, type TreeOutline } from './read-outline.ts';

/** Where `global/pg_control` waits until everything else is durable. Under this name no server finds it. */
export const WAITING_CONTROL_FILE = 'global/pg_control.holdfast-restoring';
export const CONTROL_FILE = 'global/pg_control';

/** Directories that a server expects and that a backup need not name. */
const NEEDED_DIRECTORIES = ['pg_wal', 'pg_wal/archive_status'];

const GROUP_READABLE = 0o040;

/** What was written. */
export interface ExtractedFiles {
  /** Relative paths, `pg_control` under its waiting name. */
  readonly files: readonly string[];
  readonly directories: readonly string[];
  readonly bytes: number;
}

/**
 * Writes all files of the snapshot, in parallel, from packs straight into their places. Nothing is synced yet.
 *
 * A pack in which a chunk failed authentication is recorded as damaged, also when another copy of the chunk was sound (rule A1).
 * Errors: CHUNK_DAMAGED, CHUNK_ABSENT, TREE_INVALID; those of the store; of the file system as they are.
 */
export async function extractFiles(options: {
  repository: Repository;
  index: ChunkIndex;
  readChunk: FetchChunk;
  snapshot: SnapshotFacts;
  outline: TreeOutline;
  target: ClaimedTarget;
  progress: Progress;
  workers?: number;
  signal?: AbortSignal;
}): Promise<ExtractedFiles> {
  const { repository, index, readChunk, target, outline, progress } = options;
  progress.begin('restoring files', { unit: 'bytes', total: outline.bytes });
  let bytes = 0;
  const pipeline = new ExtractPipeline({
    repository,
    index,
    workers: options.workers ?? availableParallelism(),
    onBytes: (written) => {
      bytes += written;
      progress.advance(written);
    },
  });
  const files: string[] = [];
  try {
    // The workers start meanwhile.
    const directories = makeDirectories(target, outline);
    for await (const entry of readDataFiles(options.snapshot, readChunk)) {
      options.signal?.throwIfAborted();
      const path = entry.path === CONTROL_FILE ? WAITING_CONTROL_FILE : entry.path;
      makeFile(target, path, entry);
      files.push(path);
      await addExtents(pipeline, join(target.path, path), entry, readChunk);
    }
    await pipeline.finish();
    return { files, directories, bytes };
  } finally {
    await pipeline.abandon();
    await reportDamage(repository, pipeline.damagedPacks, progress);
  }
}

/** Parents come before what lies in them, as the tree is sorted by path. */
function makeDirectories(target: ClaimedTarget, outline: TreeOutline): string[] {
  const modes = new Map(outline.directories.map(({ path, mode }) => [path, mode & 0o777]));
  for (const path of NEEDED_DIRECTORIES) if (!modes.has(path)) modes.set(path, 0o700);
  for (const [path, mode] of modes) {
    const absolute = join(target.path, path);
    mkdirSync(absolute, { recursive: true });
    // Not left to mkdir, which asks the umask.
    chmodSync(absolute, mode);
    if (target.owner !== undefined) chownSync(absolute, target.owner.uid, target.owner.gid);
  }
  // A server that lets its group read does so from the top.
  if (((modes.get('global') ?? 0) & GROUP_READABLE) !== 0) chmodSync(target.path, 0o750);
  return [...modes.keys()];
}

/** Makes the file with its final size, so that runs of zeros need not be written. */
function makeFile(target: ClaimedTarget, path: string, entry: FileEntry): void {
  const descriptor = openSync(
    join(target.path, path),
    constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY,
    0o600,
  );
  try {
    ftruncateSync(descriptor, entry.size);
  } finally {
    closeSync(descriptor);
  }
  chmodSync(join(target.path, path), entry.mode & 0o777);
  if (target.owner !== undefined) chownSync(join(target.path, path), target.owner.uid, target.owner.gid);
}

async function addExtents(
  pipeline: ExtractPipeline,
  path: string,
  entry: FileEntry,
  readChunk: FetchChunk,
): Promise<void> {
  if (entry.size === 0) return;
  const file = pipeline.addFile(path);
  let fileOffset = 0;
  for await (const map of readFileMap(entry, readChunk)) {
    for (const extent of map.extents) {
      if (extent.form === 'chunk') {
        const { id, offset: chunkOffset, length } = extent;
        await pipeline.addExtent(id, { file, fileOffset, chunkOffset, length });
      }
      fileOffset += extent.length;
    }
  }
}

async function reportDamage(repository: Repository, packs: readonly string[], progress: Progress): Promise<void> {
  for (const pack of packs) {
    progress.note(`Pack ${pack.slice(0, 12)} is damaged.`);
    if (repository.access === 'read') continue;
    // The restore's own outcome counts more than the record: a store that cannot take it now is met again by the next verify.
    await recordDamage(repository, Buffer.from(pack, 'hex'), { foundBy: 'restore' }).catch((error) =>
      progress.note(`The damage could not be recorded: ${String(error)}`),
    );
  }
}
