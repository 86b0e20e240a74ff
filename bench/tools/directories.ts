import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { peerUser } from '../peers.ts';

const run = promisify(execFile);
/** A repository may have as many files as the cluster; each gives a line of at most 20 characters. */
const outputBytesMax = 64 * 1024 * 1024;

/** The lengths of all files below a directory, added up, save for those whose name is like `without`. */
export async function measureDirectoryBytes(directory: string, without = ''): Promise<number> {
  const tests = ['-type', 'f', '-not', '-name', without];
  const { stdout } = await run('find', [directory, ...tests, '-printf', '%s\n'], { maxBuffer: outputBytesMax });
  return stdout.split('\n').reduce((sum, line) => sum + Number(line), 0);
}

/** The bytes below `base` of a data directory, save for the files that every backup leaves out. */
export function measureTables(dataDirectory: string): Promise<number> {
  return measureDirectoryBytes(`${dataDirectory}/base`, 'pg_internal.init*');
}

/** Lets the peers write to a directory. */
export async function giveToPeerUser(directory: string): Promise<void> {
  await run('chown', ['-R', peerUser, directory]);
}
