import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../lib/index.ts';
import { createFile, makeStateDirectory } from './durable-file.ts';

/**
 * Who a state directory is in every ledger: 32 hexadecimal digits, drawn when it is first used and kept for good.
 *
 * Processes that come first at the same time agree on one. Errors: `STATE_UNWRITABLE`; `STATE_UNREADABLE`.
 */
export async function readWriterId(stateDirectory: string): Promise<string> {
  const path = join(stateDirectory, 'writer');
  const known = await readOrNull(path);
  if (known !== null) return known;
  await makeStateDirectory(stateDirectory);
  const drawn = randomBytes(16).toString('hex');
  if (await createFile(path, `${drawn}\n`)) return drawn;
  return (await readOrNull(path)) ?? drawn;
}

async function readOrNull(path: string): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw stateUnreadable(path, `The system said: ${messageOf(error)}.`, error);
  }
  const id = text.trim();
  if (/^[0-9a-f]{32}$/.test(id)) return id;
  throw stateUnreadable(path, 'Expected 32 hexadecimal digits, found something else.');
}

export function stateUnreadable(path: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('STATE_UNREADABLE', `could not read "${path}"`, {
    detail,
    hints: ['Check HOLDFAST_STATE_DIR. A state directory may be removed; whoever uses the next one is a new writer.'],
    ...(cause === undefined ? {} : { cause }),
  });
}
