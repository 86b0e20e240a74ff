import { posix } from 'node:path';
import { mapAhead } from '../../lib/index.ts';
import { FINGERPRINT_BYTES, FINGERPRINT_PAGE_BYTES } from '../fingerprint/index.ts';
import { comparePaths, type FileEntry, type TreeEntry } from './entry.ts';
import { decodeFileMap, type FileMap, MAP_LEAF_BYTES } from './file-map.ts';
import { type FetchChunk, readTree } from './read-tree.ts';

/** Leaves of one file that are fetched before they are needed. */
const LEAVES_AHEAD = { atOnceMax: 16 };

/** Pages of one map leaf that are not the same in two trees. */
export interface DifferingPages {
  readonly path: string;
  /** The number of the leaf's first page in the file. */
  readonly firstPage: number;
  /** Counted from the leaf's beginning, rising; pages of the newer file. */
  readonly pages: readonly number[];
  /** Without a page where only the newer file has one: it reads as zeros. */
  readonly older: FileMap;
  readonly newer: FileMap;
}

const NOTHING: FileMap = { extents: [], fingerprints: null };

/**
 * Where the files of a tree differ from those of an older one, by the fingerprints of their pages: no data are read, and of equal map leaves nothing at
 * all. A page that only the newer one has, as its file is longer there or new, differs too. Passed over are files without fingerprints, what only the
 * older one has, and directories that it does not have, with all that is in them.
 *
 * Errors: `TREE_INVALID`; those of `fetch`.
 */
export async function* findDifferingPages(
  olderRoot: string,
  newerRoot: string,
  fetch: FetchChunk,
  isWanted: (path: string) => boolean,
): AsyncGenerator<DifferingPages, void> {
  const older = readEntries(olderRoot, fetch, isWanted);
  const newDirectories = new Set<string>();
  let known = await older.next();
  for await (const entry of readEntries(newerRoot, fetch, isWanted)) {
    while (!known.done && comparePaths(known.value.path, entry.path) < 0) known = await older.next();
    const before = !known.done && known.value.path === entry.path ? known.value : null;
    if (entry.type !== 'file') {
      if (before === null) newDirectories.add(entry.path);
    } else if (before !== null || !newDirectories.has(posix.dirname(entry.path))) {
      yield* compareFiles(before?.type === 'file' ? before : null, entry, fetch);
    }
  }
}

/** Files that are wanted, and every directory. */
async function* readEntries(
  root: string,
  fetch: FetchChunk,
  isWanted: (path: string) => boolean,
): AsyncGenerator<TreeEntry, void> {
  for await (const entry of readTree(root, fetch)) {
    if (entry.type === 'directory' || (entry.type === 'file' && isWanted(entry.path))) yield entry;
  }
}

async function* compareFiles(
  older: FileEntry | null,
  newer: FileEntry,
  fetch: FetchChunk,
): AsyncGenerator<DifferingPages, void> {
  const leaves = Array.from({ length: leafCount(newer) }, (_, leaf) => leaf);
  const differing = leaves.filter((leaf) => !isSameLeaf(older, newer, leaf));
  const both = async (leaf: number) => ({
    leaf,
    maps: await Promise.all([older, newer].map((of) => leafOf(of, leaf, fetch))),
  });
  for await (const { leaf, maps } of mapAhead(differing, LEAVES_AHEAD, both)) {
    const [before, after] = maps as [FileMap, FileMap];
    const pages = comparePages(before, after);
    const firstPage = (leaf * MAP_LEAF_BYTES) / FINGERPRINT_PAGE_BYTES;
    if (pages.length > 0) yield { path: newer.path, firstPage, pages, older: before, newer: after };
  }
}

function leafCount({ content }: FileEntry): number {
  return content.form === 'inline' ? 1 : content.leaves.length;
}

function isSameLeaf(older: FileEntry | null, newer: FileEntry, leaf: number): boolean {
  if (older?.content.form !== 'split' || newer.content.form !== 'split') return false;
  return older.content.leaves[leaf]?.equals(newer.content.leaves[leaf]!) === true;
}

async function leafOf(file: FileEntry | null, leaf: number, fetch: FetchChunk): Promise<FileMap> {
  if (file === null || leaf >= leafCount(file)) return NOTHING;
  const { content } = file;
  return content.form === 'inline' ? content.map : decodeFileMap(await fetch(content.leaves[leaf]!));
}

function comparePages(older: FileMap, newer: FileMap): number[] {
  const [before, after] = [older.fingerprints ?? Buffer.alloc(0), newer.fingerprints];
  const hasOnlyBytes = older.fingerprints === null && older.extents.length > 0;
  if (after === null || hasOnlyBytes) return [];
  const pages: number[] = [];
  for (let at = 0; at < after.length; at += FINGERPRINT_BYTES) {
    const end = at + FINGERPRINT_BYTES;
    if (end > before.length || before.compare(after, at, end, at, end) !== 0) pages.push(at / FINGERPRINT_BYTES);
  }
  return pages;
}

/** The bytes of one page of a map, anew each time; zeros behind its end. Errors: those of `fetch`. */
export async function readPage({ extents }: FileMap, page: number, fetch: FetchChunk): Promise<Buffer> {
  const bytes = Buffer.alloc(FINGERPRINT_PAGE_BYTES);
  const from = page * FINGERPRINT_PAGE_BYTES;
  const to = from + FINGERPRINT_PAGE_BYTES;
  let at = 0;
  for (const extent of extents) {
    const end = at + extent.length;
    if (extent.form === 'chunk' && end > from && at < to) {
      const chunk = await fetch(extent.id);
      const begin = Math.max(at, from);
      const offset = extent.offset + (begin - at);
      bytes.set(chunk.subarray(offset, offset + Math.min(end, to) - begin), begin - from);
    }
    at = end;
    if (at >= to) break;
  }
  return bytes;
}
