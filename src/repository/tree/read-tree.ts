import { comparePaths, type FileEntry, type TreeEntry } from './entry.ts';
import { decodeFileMap, type FileMap, mapLength } from './file-map.ts';
import { type Child, decodeNode } from './node.ts';
import { treeInvalid } from './tree-invalid.ts';

/** Gives the raw bytes of a chunk by its identity. */
export type FetchChunk = (id: Uint8Array) => Promise<Buffer>;

/** More levels than any tree of ours has: each halves the number of nodes at least. */
const DEPTH_MAX = 64;

/**
 * Every entry of a tree in the order of paths, or only those whose path begins with `prefix`, without fetching nodes that hold none.
 *
 * `root` is 64 hexadecimal digits, as in `TreeSummary`. One node of each level is in memory.
 * Errors: `TREE_INVALID`; those of `fetch`.
 */
export async function* readTree(
  root: string,
  fetch: FetchChunk,
  options: { prefix?: string } = {},
): AsyncGenerator<TreeEntry, void> {
  let last: string | null = null;
  for await (const entry of readNode(Buffer.from(root, 'hex'), fetch, options.prefix ?? '', 0)) {
    if (last !== null && comparePaths(last, entry.path) >= 0)
      throw treeInvalid(`"${entry.path}" stands behind "${last}"`);
    last = entry.path;
    yield entry;
  }
}

/** The entry at exactly this path, or `null`. */
export async function findEntry(root: string, path: string, fetch: FetchChunk): Promise<TreeEntry | null> {
  for await (const entry of readTree(root, fetch, { prefix: path })) {
    // The first that begins with the path is the path itself, if it is there.
    return entry.path === path ? entry : null;
  }
  return null;
}

/**
 * The map of a file in parts of at most 8 MiB, in order.
 *
 * Errors: `TREE_INVALID` also when the parts do not add up to the file's size; those of `fetch`.
 */
export async function* readFileMap(entry: FileEntry, fetch: FetchChunk): AsyncGenerator<FileMap, void> {
  let bytes = 0;
  for await (const map of readMaps(entry, fetch)) {
    bytes += mapLength(map);
    if (bytes > entry.size) break;
    yield map;
  }
  if (bytes !== entry.size) throw treeInvalid(`"${entry.path}" has ${entry.size} bytes, but its map has ${bytes}`);
}

async function* readMaps({ content }: FileEntry, fetch: FetchChunk): AsyncGenerator<FileMap, void> {
  if (content.form === 'inline') yield content.map;
  else for (const id of content.leaves) yield decodeFileMap(await fetch(id));
}

async function* readNode(
  id: Uint8Array,
  fetch: FetchChunk,
  prefix: string,
  depth: number,
): AsyncGenerator<TreeEntry, void> {
  if (depth > DEPTH_MAX) throw treeInvalid(`it is deeper than ${DEPTH_MAX} nodes`);
  const node = decodeNode(await fetch(id));
  if (node.type === 'leaf') {
    for (const entry of node.entries) if (entry.path.startsWith(prefix)) yield entry;
    return;
  }
  for (const [i, child] of node.children.entries()) {
    if (mayHold(child, node.children[i + 1], prefix)) yield* readNode(child.id, fetch, prefix, depth + 1);
  }
}

/** Whether paths with the prefix can lie from the first path of this child up to, but not including, that of the next. */
function mayHold(child: Child, next: Child | undefined, prefix: string): boolean {
  const startsBehind = comparePaths(child.firstPath, prefix) > 0 && !child.firstPath.startsWith(prefix);
  const endsBefore = next !== undefined && comparePaths(next.firstPath, prefix) <= 0;
  return !startsBehind && !endsBefore;
}
