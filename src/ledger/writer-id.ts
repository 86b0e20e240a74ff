import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createFile, makeStateDirectory, readStateFile } from './durable-file.ts';

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

function readOrNull(path: string): Promise<string | null> {
  return readStateFile(path, /^[0-9a-f]{32}\s*$/, '32 hexadecimal digits');
}
