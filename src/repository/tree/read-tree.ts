import { mapAhead } from '../../lib/index.ts';
import { comparePaths, type FileEntry, type TreeEntry } from './entry.ts';
import { decodeFileMap, type FileMap, mapLength } from './file-map.ts';
import { type Child, decodeNode } from './node.ts';
import { treeInvalid } from './tree-invalid.ts';

/** Gives the raw bytes of a chunk by its identity. */
export type FetchChunk = (id: Uint8Array) => Promise<Buffer>;

/** Nodes of one level, and map leaves of one file, that are fetched before they are needed: most of them come with their neighbours. */
const NODES_AHEAD = { atOnceMax: 16 };
const LEAVES_AHEAD = { atOnceMax: 16 };

/** Files behind the one that is read whose first map leaves are fetched, and so many leaves of each. */
const FILES_AHEAD = { atOnceMax: 16 };
const FIRST_LEAVES = 2;

/** More levels than any tree of ours has: each halves the number of nodes at least. */
const DEPTH_MAX = 64;

/**
 * Every entry of a tree in the order of paths, or only those whose path begins with `prefix`, without fetching nodes that hold none.
 *
 * `root` is 64 hexadecimal digits, as in `TreeSummary`. One node of each level is in memory, and the stored bytes of the next ones.
 * Errors: `TREE_INVALID`; those of `fetch`.
 */
export async function* readTree(
  root: string,
  fetch: FetchChunk,
  options: { prefix?: string } = {},
): AsyncGenerator<TreeEntry, void> {
  let last: string | null = null;
  const fetched = await fetch(Buffer.from(root, 'hex'));
  for await (const entry of readNode(fetched, fetch, options.prefix ?? '', 0)) {
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
  else for await (const raw of mapAhead(content.leaves, LEAVES_AHEAD, fetch)) yield decodeFileMap(raw);
}

/** An entry of a tree, and how its map is read, if it is a file. */
export interface EntryAhead<Entry extends TreeEntry> {
  readonly entry: Entry;
  readonly fetch: FetchChunk;
}

/**
 * The same entries; of files that come later, the first map leaves are on their way already. Whoever reads the map of an entry with the `fetch` that
 * comes with it does not wait for them again.
 */
export async function* withMapsAhead<Entry extends TreeEntry>(
  entries: AsyncIterable<Entry>,
  fetch: FetchChunk,
): AsyncGenerator<EntryAhead<Entry>, void> {
  const begin = async (entry: Entry): Promise<EntryAhead<Entry>> => {
    if (entry.type !== 'file' || entry.content.form === 'inline') return { entry, fetch };
    const first = entry.content.leaves.slice(0, FIRST_LEAVES).map((id) => ({ id, raw: fetch(id) }));
    // Whoever asks for a leaf sees its failure; perhaps nobody asks.
    for (const { raw } of first) raw.catch(() => {});
    return { entry, fetch: (id) => first.find((leaf) => leaf.id === id)?.raw ?? fetch(id) };
  };
  yield* mapAhead(entries, FILES_AHEAD, begin);
}

async function* readNode(
  fetched: Buffer,
  fetch: FetchChunk,
  prefix: string,
  depth: number,
): AsyncGenerator<TreeEntry, void> {
  if (depth > DEPTH_MAX) throw treeInvalid(`it is deeper than ${DEPTH_MAX} nodes`);
  const node = decodeNode(fetched);
  if (node.type === 'leaf') {
    for (const entry of node.entries) if (entry.path.startsWith(prefix)) yield entry;
    return;
  }
  const wanted = node.children.filter((child, i) => mayHold(child, node.children[i + 1], prefix));
  for await (const below of mapAhead(wanted, NODES_AHEAD, ({ id }) => fetch(id))) {
    yield* readNode(below, fetch, prefix, depth + 1);
  }
}

/** Whether paths with the prefix can lie from the first path of this child up to, but not including, that of the next. */
function mayHold(child: Child, next: Child | undefined, prefix: string): boolean {
  const startsBehind = comparePaths(child.firstPath, prefix) > 0 && !child.firstPath.startsWith(prefix);
  const endsBefore = next !== undefined && comparePaths(next.firstPath, prefix) <= 0;
  return !startsBehind && !endsBefore;
}
