import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type MarkedProcess, markedProcess, processMark } from '../../../lib/index.ts';

/** Lies beside the objects of a disk store, on the same file system, so that a spool file becomes an object by a link. */
export const SPOOL_DIRECTORY = '.spool';

/** A fresh path for a spool file of this process (any of its threads). Shape of the name: `<mark of the process>.<random 16>`. */
export function newSpoolPath(directory: string): string {
  return join(directory, `${processMark()}.${randomBytes(8).toString('hex')}`);
}

/** What is known about the owner of a spool file; `elsewhere` too for names that nobody makes: only their age can tell. */
export function spoolOwnerState(name: string): MarkedProcess {
  const match = /^(.*)\.[0-9a-f]{16}$/.exec(name);
  return match === null ? 'elsewhere' : markedProcess(match[1]!);
}
