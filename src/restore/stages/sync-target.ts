import { close, fsync, open } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Progress } from '../../lib/index.ts';
import { syncDirectory } from '../spool/index.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { CONTROL_FILE, type ExtractedFiles, WAITING_CONTROL_FILE } from './extract-files.ts';

/** Syncs that wait for the disk at the same time: as many as libuv has threads to wait in. */
const SYNCS_MAX = 4;

/** Makes every restored file and directory durable, files first: a name that survives must not lead to nothing. */
export async function syncTarget(
  target: ClaimedTarget,
  { files, directories }: ExtractedFiles,
  progress: Progress,
): Promise<void> {
  progress.begin('making it durable', { unit: 'files', total: files.length });
  const waiting = files.values();
  const syncNext = async (): Promise<void> => {
    for (const path of waiting) {
      await syncFile(join(target.path, path));
      progress.advance(1);
    }
  };
  await Promise.all(Array.from({ length: SYNCS_MAX }, syncNext));
  for (const path of directories) await syncDirectory(join(target.path, path));
  await syncDirectory(target.path);
}

/**
 * Gives `pg_control` its name, as the last thing: before it no server can be started on the directory, whenever the restore was broken off.
 */
export async function sealTarget(target: ClaimedTarget): Promise<void> {
  await rename(join(target.path, WAITING_CONTROL_FILE), join(target.path, CONTROL_FILE));
  await syncDirectory(join(target.path, 'global'));
}

/** Bare descriptors: of the objects that stand for open files 100,000 would wait to be collected. */
const [openFile, syncOpened, closeFile] = [promisify(open), promisify(fsync), promisify(close)];

async function syncFile(path: string): Promise<void> {
  // A server's files may be read-only, and syncing needs no right to write.
  const descriptor = await openFile(path, 'r');
  try {
    await syncOpened(descriptor);
  } finally {
    await closeFile(descriptor);
  }
}
