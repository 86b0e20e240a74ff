import { close, fsync, open } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inLanes, type Progress } from '../../lib/index.ts';
import { syncDirectory } from '../spool/index.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { CONTROL_FILE, type ExtractedFiles, WAITING_CONTROL_FILE } from './extract-files.ts';

/**
 * Syncs that wait for the disk at the same time, as far as libuv has threads to wait in (`bin/holdfast` gives a restore 12): the file system brings
 * those that wait to the disk together, which halves the time of thousands of small files.
 */
const SYNCS_MAX = 12;

/**
 * Makes every restored file and directory durable, files first: a name that survives must not lead to nothing.
 *
 * A file that the system could not sync is removed: what memory has of it passes for written from then on (rule C1), and whoever goes on with this
 * restore would find it equal. `sync` is the system's own unless a test says otherwise. Errors: of the file system as they are.
 */
export async function syncTarget(
  target: Pick<ClaimedTarget, 'path'>,
  { files, directories }: Pick<ExtractedFiles, 'files' | 'directories'>,
  progress: Progress,
  sync: (descriptor: number) => Promise<void> = syncOpened,
): Promise<void> {
  progress.begin('making it durable', { unit: 'files', total: files.length });
  const failures: unknown[] = [];
  // All are tried, so that of those that fail none is left.
  await inLanes(SYNCS_MAX, files, async (path) => {
    await syncFile(join(target.path, path), sync).catch((error) => failures.push(error));
    progress.advance(1);
  });
  if (failures.length > 0) throw failures[0];
  await inLanes(SYNCS_MAX, directories, (path) => syncDirectory(join(target.path, path)));
  await syncDirectory(target.path);
}

/**
 * Gives `pg_control` its name, as the last thing: before it no server can be started on the directory, whenever the restore was broken off.
 */
export async function sealTarget(target: ClaimedTarget): Promise<void> {
  // For what was written since the others were synced: a manifest.
  await syncDirectory(target.path);
  await rename(join(target.path, WAITING_CONTROL_FILE), join(target.path, CONTROL_FILE));
  await syncDirectory(join(target.path, 'global'));
}

/** Bare descriptors: of the objects that stand for open files 100,000 would wait to be collected. */
const [openFile, syncOpened, closeFile] = [promisify(open), promisify(fsync), promisify(close)];

async function syncFile(path: string, sync: (descriptor: number) => Promise<void>): Promise<void> {
  // A server's files may be read-only, and syncing needs no right to write.
  const descriptor = await openFile(path, 'r');
  try {
    await sync(descriptor);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await closeFile(descriptor);
  }
}
