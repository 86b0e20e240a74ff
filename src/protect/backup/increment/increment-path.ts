import { INCREMENT_PREFIX, parseRelationPath } from '../../../postgres/index.ts';
import { serverPathOf, treePathOf } from '../tree-paths.ts';

/** The path, on the server, of the file of which this one is an increment; null when it is none. */
export function incrementedPathOf(serverPath: string): string | null {
  const name = serverPath.lastIndexOf('/') + 1;
  if (!serverPath.startsWith(INCREMENT_PREFIX, name)) return null;
  const path = serverPath.slice(0, name) + serverPath.slice(name + INCREMENT_PREFIX.length);
  return parseRelationPath(path) === null ? null : path;
}

/** The same for paths in our tree. */
export function incrementedTreePath(treePath: string): string | null {
  const serverPath = serverPathOf(treePath);
  const whole = serverPath === null ? null : incrementedPathOf(serverPath);
  return whole === null ? null : treePathOf(whole);
}

/**
 * Whether only the changes of a file may be asked for, by its path on the server. Free space maps are in no WAL, and changes of a heap clear bits of
 * its visibility map without naming the page (rule A8): both have to come whole.
 */
export function mayComeAsIncrement(serverPath: string): boolean {
  const file = parseRelationPath(serverPath);
  return file !== null && (file.fork === 'main' || file.fork === 'init');
}
