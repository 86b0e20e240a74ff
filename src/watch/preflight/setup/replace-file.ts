import { randomBytes } from 'node:crypto';
import { chmod, chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../../../lib/index.ts';

/** The text of a file, empty when there is none. Errors: SETUP_FILE_UNREADABLE. */
export async function readFileIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw new HoldfastError('SETUP_FILE_UNREADABLE', `could not read "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Run the set-up as a user that may read and write it, such as root.'],
      cause: error,
    });
  }
}

/** Whose file it is: the server's (owner and mode stay; a new one belongs to whom its directory belongs) or a secret of ours, for nobody else. */
export type FileKind = 'server' | 'secret';

/**
 * Replaces a file so that it is whole at any moment, and durable when this returns. A symbolic link stays one.
 *
 * Errors: SETUP_FILE_UNWRITABLE.
 */
export async function replaceFile(path: string, text: string, kind: FileKind): Promise<void> {
  let temporary: string | null = null;
  try {
    const before = await statIfThere(path);
    const place = before === null ? path : await realpath(path);
    temporary = join(dirname(place), `.${randomBytes(6).toString('hex')}.holdfast`);
    {
      await using file = await open(temporary, 'wx', 0o600);
      await file.writeFile(text);
      await file.sync();
    }
    if (kind === 'server') {
      const like = before ?? (await stat(dirname(place)));
      await chmod(temporary, before === null ? 0o640 : before.mode & 0o7777);
      if (process.getuid?.() === 0) await chown(temporary, like.uid, like.gid);
    }
    await rename(temporary, place);
    await using directory = await open(dirname(place), 'r');
    await directory.sync();
  } catch (error) {
    if (temporary !== null) await rm(temporary, { force: true });
    throw new HoldfastError('SETUP_FILE_UNWRITABLE', `could not write "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Run the set-up as a user that may write there, such as root.'],
      cause: error,
    });
  }
}

async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
