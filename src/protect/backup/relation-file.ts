import { BLOCK_BYTES, parseRelationPath, type RelationSegment } from '../../postgres/index.ts';
import { serverPathOf } from './tree-paths.ts';

/** Which data file of a relation stands at a path of a snapshot's tree; null for any other file. */
export function relationFileOf(treePath: string): RelationSegment | null {
  const serverPath = serverPathOf(treePath);
  return serverPath === null ? null : parseRelationPath(serverPath);
}

/** Whether the file belongs to a relation and is whole pages. */
export function isPagedFile(treePath: string, size: number): boolean {
  return size > 0 && size % BLOCK_BYTES === 0 && relationFileOf(treePath) !== null;
}
