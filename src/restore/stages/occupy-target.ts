import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, HoldfastError, markedProcess, processMark } from '../../lib/index.ts';
import { OCCUPIED_PREFIX } from '../restore-marker.ts';
import { syncDirectory } from '../spool/index.ts';

/**
 * Holds a directory for one restore at a time: two of them would each take the other's files for what a broken-off one left.
 *
 * Each puts its own name there before it looks for others, so that of two that come at once at most one goes on. Makes the directory when it is
 * missing. A name whose process is dead, as after kill -9, is removed.
 *
 * Errors: RESTORE_TARGET_BUSY; of the file system as they are.
 */
export async function occupyTarget(path: string, options: { isMissing: boolean }): Promise<AsyncDisposable> {
  if (options.isMissing) await makeDirectory(path);
  const own = `${OCCUPIED_PREFIX}${processMark()}`;
  try {
    await writeFile(join(path, own), '', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw busy(path, own);
    throw error;
  }
  const release = () => rm(join(path, own), { force: true });
  try {
    const others = (await readdir(path)).filter((name) => name !== own);
    refuseOccupied(path, others);
    for (const name of others) {
      if (name.startsWith(OCCUPIED_PREFIX)) await rm(join(path, name), { force: true });
    }
  } catch (error) {
    await release();
    throw error;
  }
  return { [Symbol.asyncDispose]: release };
}

/** Errors: RESTORE_TARGET_BUSY when one of the names is that of a restore which may be going on. */
export function refuseOccupied(path: string, entries: readonly string[]): void {
  const other = entries.find(
    (name) => name.startsWith(OCCUPIED_PREFIX) && markedProcess(name.slice(OCCUPIED_PREFIX.length)) !== 'dead',
  );
  if (other !== undefined) throw busy(path, other);
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    // Somebody has made it since it was looked at: then it is not ours to fill.
    if (codeOf(error) === 'EEXIST') throw busy(path, null);
    throw error;
  }
  await syncDirectory(dirname(path));
}

function busy(path: string, name: string | null): HoldfastError {
  const mark = name?.slice(OCCUPIED_PREFIX.length) ?? '';
  const isElsewhere = name !== null && markedProcess(mark) === 'elsewhere';
  const who = isElsewhere
    ? `"${name}" in it is of a process on another host or in another container, of which nothing can be told from here.`
    : name === null
      ? 'Somebody has made it since this restore was proposed.'
      : `Process ${mark.split('.')[2]} is restoring into it.`;
  return new HoldfastError('RESTORE_TARGET_BUSY', `refusing to restore into "${path}": another restore uses it`, {
    detail: who,
    hints: [
      ...(isElsewhere ? [`Remove "${join(path, name)}" once you are sure that no restore goes on there.`] : []),
      'Wait until the other one is done, or choose another directory.',
    ],
  });
}
