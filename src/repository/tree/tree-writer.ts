import { createHash } from 'node:crypto';
import { assert, HoldfastError } from '../../lib/index.ts';
import { assertEntry, comparePaths, type TreeEntry } from './entry.ts';
import { type Child, encodeChild, encodeEntry, encodeNode, NODE_HEAD_BYTES } from './node.ts';

/** A node ends at the latest behind this many items. */
const NODE_ITEMS_MAX = 1024;
/** A node ends behind the item that makes it as large as this; half a chunk, so that one more item always fits. */
const NODE_BYTES_TARGET = 512 << 10;

/** What always fits into a node that is not full: the map leaves of a file of some 100 GiB. */
const ENTRY_BYTES_MAX = 500 << 10;

/** Stores a chunk unless it is known, and gives its identity, 32 bytes. */
export type StoreChunk = (raw: Uint8Array) => Promise<Buffer>;

/** What a snapshot says of its tree. `root`: identity of the root node, 64 hexadecimal digits; files and bytes of regular files. */
export interface TreeSummary {
  root: string;
  files: number;
  bytes: number;
}

/**
 * Cuts entries into nodes and these into a tree, node by node as they come.
 *
 * Where a node ends depends on the path of its last item alone (and on the limits), so that a file more or less moves only the ends near it
 * and all other nodes are the chunks that they were.
 */
export class TreeWriter {
  readonly #storeChunk: StoreChunk;
  readonly #levels: Level[] = [];
  #lastPath: string | null = null;

  constructor(storeChunk: StoreChunk) {
    this.#storeChunk = storeChunk;
  }

  /** Adds the next entry; entries come in the order of `comparePaths`, each path once. Errors: `TREE_ENTRY_TOO_LARGE`. */
  async add(entry: TreeEntry): Promise<void> {
    assertEntry(entry);
    assert(
      this.#lastPath === null || comparePaths(this.#lastPath, entry.path) < 0,
      `"${entry.path}" comes in its order`,
    );
    this.#lastPath = entry.path;
    const [files, bytes] = entry.type === 'file' ? [1, entry.size] : [0, 0];
    const encoded = encodeEntry(entry);
    if (encoded.length > ENTRY_BYTES_MAX) throw entryTooLarge(entry, encoded.length);
    await this.#addItem(0, { encoded, path: entry.path, files, bytes });
  }

  /** Ends the open node of each level, up to the first level that has a single node: the root. An empty tree is one empty leaf. */
  async finish(): Promise<TreeSummary> {
    for (let depth = 0; ; depth++) {
      const level = this.#levelAt(depth);
      if (level.items.length > 0 || level.closed === 0) await this.#close(depth);
      if (level.closed === 1) return summaryOf(level.last!);
    }
  }

  async #addItem(depth: number, item: Item): Promise<void> {
    const level = this.#levelAt(depth);
    level.add(item);
    // With at least two children in each inner node, a level is at most half as long as the one below it: the tree ends.
    const itemsMin = depth === 0 ? 1 : 2;
    if (level.isFull || (level.items.length >= itemsMin && endsNode(item.path))) await this.#close(depth);
  }

  async #close(depth: number): Promise<void> {
    const level = this.#levelAt(depth);
    const items = level.takeItems();
    const id = await this.#storeChunk(
      encodeNode(
        depth === 0 ? 'leaf' : 'inner',
        items.map(({ encoded }) => encoded),
      ),
    );
    const child: Child = {
      firstPath: items[0]?.path ?? '',
      id,
      files: sum(items, 'files'),
      bytes: sum(items, 'bytes'),
    };
    level.closed += 1;
    level.last = child;
    await this.#addItem(depth + 1, { ...child, path: child.firstPath, encoded: encodeChild(child) });
  }

  #levelAt(depth: number): Level {
    this.#levels[depth] ??= new Level();
    return this.#levels[depth];
  }
}

/** An encoded entry or child. */
interface Item {
  encoded: Buffer;
  path: string;
  files: number;
  bytes: number;
}

/** The nodes of one depth: those that were stored, of which the last is remembered, and the open one. */
class Level {
  items: Item[] = [];
  closed = 0;
  last: Child | null = null;
  #size = NODE_HEAD_BYTES;

  get isFull(): boolean {
    return this.items.length >= NODE_ITEMS_MAX || this.#size >= NODE_BYTES_TARGET;
  }

  add(item: Item): void {
    this.items.push(item);
    this.#size += item.encoded.length;
  }

  takeItems(): Item[] {
    const { items } = this;
    this.items = [];
    this.#size = NODE_HEAD_BYTES;
    return items;
  }
}

function sum(items: readonly Item[], what: 'files' | 'bytes'): number {
  return items.reduce((total, item) => total + item[what], 0);
}

/** One path in 256: nodes of some hundred entries. */
function endsNode(path: string): boolean {
  return createHash('sha256').update(path, 'utf8').digest()[0] === 0;
}

function summaryOf({ id, files, bytes }: Child): TreeSummary {
  return { root: id.toString('hex'), files, bytes };
}

function entryTooLarge({ path }: TreeEntry, bytes: number): HoldfastError {
  return new HoldfastError('TREE_ENTRY_TOO_LARGE', `cannot store file "${path}": its entry is too large`, {
    detail: `Expected at most ${ENTRY_BYTES_MAX} bytes for its path and map leaves, found ${bytes}.`,
  });
}
