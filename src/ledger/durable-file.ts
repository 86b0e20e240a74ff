import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../lib/index.ts';

/** Makes a directory for one user only, and what is missing above it. Errors: `STATE_UNWRITABLE`. */
export async function makeStateDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw stateUnwritable(path, error);
  }
}

/**
 * A file's text without the end of its last line; `null` when there is no file. `form` is what the whole text has to be, `expected` says it in words.
 *
 * Errors: `STATE_UNREADABLE`.
 */
export async function readStateFile(path: string, form: RegExp, expected: string): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw stateUnreadable(path, `The system said: ${messageOf(error)}.`, error);
  }
  if (form.test(text)) return text.trimEnd();
  throw stateUnreadable(path, `Expected ${expected}, found something else.`);
}

/** Writes a file so that it is whole or absent after a crash, and takes the place of one that is there. Errors: `STATE_UNWRITABLE`. */
export function replaceFile(path: string, text: string): Promise<void> {
  return writeBeside(path, text, async (temporary) => {
    await rename(temporary, path);
  });
}

/** The same, but a file that is there stays; says whether it was created. */
export async function createFile(path: string, text: string): Promise<boolean> {
  let created = true;
  await writeBeside(path, text, async (temporary) => {
    try {
      await link(temporary, path);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      created = false;
    } finally {
      await rm(temporary, { force: true });
    }
  });
  return created;
}

async function writeBeside(path: string, text: string, publish: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    {
      await using file = await open(temporary, 'wx', 0o600);
      await file.writeFile(text);
      await file.sync();
    }
    await publish(temporary);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw stateUnwritable(path, error);
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(join(path, '.'), 'r');
  await directory.sync();
}

function stateUnwritable(path: string, error: unknown): HoldfastError {
  return new HoldfastError('STATE_UNWRITABLE', `could not write "${path}"`, {
    detail: `The system said: ${messageOf(error)}.`,
    hints: ['Check that HOLDFAST_STATE_DIR names a directory on a disk with space that you may write to.'],
    cause: error,
  });
}

export function stateUnreadable(path: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('STATE_UNREADABLE', `could not read "${path}"`, {
    detail,
    hints: ['Check HOLDFAST_STATE_DIR. A state directory may be removed; whoever uses the next one is a new writer.'],
    ...(cause === undefined ? {} : { cause }),
  });
}
