import type { FileEntry } from './entry.ts';
import { decodeFileMap, type FileMap } from './file-map.ts';
import { decodeNode } from './node.ts';
import type { FetchChunk } from './read-tree.ts';

/** A chunk that a tree needs, and what it is: a node or map leaf of the tree itself, or contents of files. */
export interface NeededChunk {
  id: Buffer;
  content: 'tree' | 'data';
}

/**
 * Every chunk that a snapshot's tree needs, those of the tree before the data they lead to; one that is needed twice may come twice.
 *
 * `root` is 64 hexadecimal digits. Errors: `TREE_INVALID`; those of `fetch`.
 */
export async function* listTreeChunks(root: string, fetch: FetchChunk): AsyncGenerator<NeededChunk, void> {
  const open: Buffer[] = [Buffer.from(root, 'hex')];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    yield { id, content: 'tree' };
    const node = decodeNode(await fetch(id));
    if (node.type === 'inner') for (const child of node.children) open.push(child.id);
    else for (const entry of node.entries) if (entry.type === 'file') yield* listFileChunks(entry, fetch);
  }
}

async function* listFileChunks({ content }: FileEntry, fetch: FetchChunk): AsyncGenerator<NeededChunk, void> {
  if (content.form === 'inline') {
    yield* listMapChunks(content.map);
    return;
  }
  for (const id of content.leaves) {
    yield { id, content: 'tree' };
    yield* listMapChunks(decodeFileMap(await fetch(id)));
  }
}

function* listMapChunks(map: FileMap): Generator<NeededChunk, void> {
  for (const extent of map.extents) if (extent.form === 'chunk') yield { id: extent.id, content: 'data' };
}
