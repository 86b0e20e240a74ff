import { HoldfastError, mapAhead } from '../../lib/index.ts';
import type { FileEntry } from './entry.ts';
import { decodeFileMap, type FileMap } from './file-map.ts';
import { type Child, decodeNode, type TreeNode } from './node.ts';
import type { FetchChunk } from './read-tree.ts';
import { treeInvalid } from './tree-invalid.ts';
import { isTreeLoss } from './tree-loss.ts';

/** A part of a tree that cannot be read, and so whatever lies below it. */
export type LostPart =
  /** A node: `firstPath` and `files` as the node above says; no path for the root. */
  | { readonly kind: 'node'; readonly firstPath: string | null; readonly files: number }
  /** The map of 8 MiB of a file. */
  | { readonly kind: 'map'; readonly path: string };

/** Who is told what a tree is made of. */
export interface TreeVisitor {
  readonly fetch: FetchChunk;
  /** Whether `enter` will not skip this node: then it is fetched ahead, while those before it are walked. Without it nothing is. */
  readonly wants?: (id: Buffer) => boolean;
  /**
   * Of each node and map leaf, before it is fetched. `skip` leaves it out with all below it, as something of which nothing more is to be said;
   * `doubtful` keeps what lies above it from counting as clean.
   */
  enter(id: Buffer): 'skip' | 'clean' | 'doubtful';
  /** Of each stretch of contents; neighbouring extents of one chunk count once. Whether it is clean. */
  visit(id: Buffer, path: string): boolean;
  /** Of a node or map leaf that is lost. */
  lose(id: Buffer, part: LostPart, error: HoldfastError): void;
  /** Whether an error that says nothing about the tree, such as a missing permission, is to be told as a loss too; otherwise it ends the walk. */
  goesOn?(error: HoldfastError): boolean;
  /** After everything below a node or map leaf; `clean` when nothing in it was doubtful or lost. */
  leave(id: Buffer, clean: boolean): void;
}

/** Map leaves of one file that are fetched at once. */
const LEAVES_AT_ONCE = 8;
/** Nodes of one level that are fetched before they are walked. */
const NODES_AHEAD = { atOnceMax: 8 };
const DEPTH_MAX = 64;

/**
 * Visits every chunk that a tree needs, and goes on behind what is lost of it, so that the loss is known to its whole extent.
 *
 * Memory: a node of each level, and some map leaves. Errors: those of `fetch` that are no word about the tree.
 */
export async function walkTree(tree: { root: string; files: number }, visitor: TreeVisitor): Promise<void> {
  await walkNode(visitor, Buffer.from(tree.root, 'hex'), { kind: 'node', firstPath: null, files: tree.files }, 0);
}

async function walkNode(
  visitor: TreeVisitor,
  id: Buffer,
  part: LostPart,
  depth: number,
  ahead: Promise<Buffer> | null = null,
): Promise<boolean> {
  const entered = visitor.enter(id);
  if (entered === 'skip') return true;
  let clean = entered === 'clean';
  const node = await unlessLost<TreeNode>(visitor, id, part, async () => {
    if (depth > DEPTH_MAX) throw treeInvalid(`it is deeper than ${DEPTH_MAX} nodes`);
    return decodeNode(await (ahead ?? visitor.fetch(id)));
  });
  if (node === null) clean = false;
  else if (node.type === 'inner') clean = (await walkChildren(visitor, node.children, depth)) && clean;
  else {
    for (const entry of node.entries) if (entry.type === 'file') clean = (await walkFile(visitor, entry)) && clean;
  }
  visitor.leave(id, clean);
  return clean;
}

async function walkChildren(visitor: TreeVisitor, children: readonly Child[], depth: number): Promise<boolean> {
  let clean = true;
  const begin = async ({ id, firstPath, files }: Child) => {
    const ahead = visitor.wants?.(id) === true ? visitor.fetch(id) : null;
    // Whoever walks the node hears of its failure.
    ahead?.catch(() => {});
    return { id, firstPath, files, ahead };
  };
  for await (const { id, firstPath, files, ahead } of mapAhead(children, NODES_AHEAD, begin)) {
    clean = (await walkNode(visitor, id, { kind: 'node', firstPath, files }, depth + 1, ahead)) && clean;
  }
  return clean;
}

async function walkFile(visitor: TreeVisitor, { path, content }: FileEntry): Promise<boolean> {
  if (content.form === 'inline') return walkMap(visitor, content.map, path);
  let clean = true;
  for (let first = 0; first < content.leaves.length; first += LEAVES_AT_ONCE) {
    const ids = content.leaves.slice(first, first + LEAVES_AT_ONCE);
    const entered = ids.map((id) => visitor.enter(id));
    const maps = await Promise.all(
      ids.map((id, i) => (entered[i] === 'skip' ? null : fetchMap(visitor, id, { kind: 'map', path }))),
    );
    for (const [i, map] of maps.entries()) {
      if (entered[i] === 'skip') continue;
      const isClean = entered[i] === 'clean' && map !== null && walkMap(visitor, map, path);
      if (entered[i] === 'doubtful' && map !== null) walkMap(visitor, map, path);
      visitor.leave(ids[i]!, isClean);
      clean &&= isClean;
    }
  }
  return clean;
}

function fetchMap(visitor: TreeVisitor, id: Buffer, part: LostPart): Promise<FileMap | null> {
  return unlessLost(visitor, id, part, async () => decodeFileMap(await visitor.fetch(id)));
}

function walkMap(visitor: TreeVisitor, map: FileMap, path: string): boolean {
  let clean = true;
  let previous: Buffer | undefined;
  for (const extent of map.extents) {
    if (extent.form === 'zero' || previous?.equals(extent.id) === true) continue;
    previous = extent.id;
    clean = visitor.visit(extent.id, path) && clean;
  }
  return clean;
}

async function unlessLost<T>(
  visitor: TreeVisitor,
  id: Buffer,
  part: LostPart,
  read: () => Promise<T>,
): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (!isTreeLoss(error) && visitor.goesOn?.(error) !== true) throw error;
    visitor.lose(id, part, error);
    return null;
  }
}
