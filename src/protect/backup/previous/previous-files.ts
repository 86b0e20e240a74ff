import { assert } from '../../../lib/index.ts';
import {
  type ChunkIndex,
  decodeFileMap,
  type FetchChunk,
  type FileContent,
  type FileMap,
  isTreeLoss,
  MAP_LEAF_BYTES,
  readTree,
  type SnapshotRecord,
} from '../../../repository/index.ts';
import { EntryTable } from '../entry-table.ts';

/** A file of an older backup. */
export interface PreviousFile {
  /** In bytes. */
  readonly size: number;
  /** Parts of 8 MiB, the last one shorter; 1 for a file of 1 MiB or less, and for an empty one. */
  readonly leafCount: number;
  /** As it stands in the tree: of a file that did not change at all, it is kept as it is. */
  readonly content: FileContent;
  /**
   * The map of the n-th 8 MiB, of a file of 1 MiB or less that of all of it (n = 0); null when it is lost. Whether the chunks that it names are
   * there still is for the caller to ask of the index. Errors: those of the store.
   */
  leaf(n: number): Promise<FileMap | null>;
  /** The identity under which the n-th 8 MiB can be kept as they are; null where the map stands in the entry, or is not to be counted on. */
  leafId(n: number): Buffer | null;
}

/** The files of one older snapshot. Each takes its path, its map or the identities of its map leaves, and some 60 bytes. */
export class PreviousFiles {
  readonly snapshot: SnapshotRecord;
  readonly #entries: EntryTable;
  readonly #sorted: Uint32Array;
  readonly #index: ChunkIndex;
  readonly #readChunk: FetchChunk;

  private constructor(parts: {
    snapshot: SnapshotRecord;
    entries: EntryTable;
    index: ChunkIndex;
    readChunk: FetchChunk;
  }) {
    this.snapshot = parts.snapshot;
    this.#entries = parts.entries;
    this.#sorted = parts.entries.sortedRows();
    this.#index = parts.index;
    this.#readChunk = parts.readChunk;
  }

  /** Reads the listing of a snapshot; no map leaf is read yet. Errors: `CHUNK_DAMAGED`, `CHUNK_ABSENT`, `TREE_INVALID`; those of the store. */
  static async open(options: {
    snapshot: SnapshotRecord;
    index: ChunkIndex;
    readChunk: FetchChunk;
  }): Promise<PreviousFiles> {
    const entries = new EntryTable();
    for await (const entry of readTree(options.snapshot.tree.root, options.readChunk)) {
      if (entry.type !== 'file') continue;
      const row = entries.addFile(entry);
      entries.setSize(row, entry.size);
      entries.setContent(row, entry.content);
    }
    return new PreviousFiles({ ...options, entries });
  }

  /** The file at exactly this path of the tree, or null. */
  find(path: string): PreviousFile | null {
    const row = this.#entries.findFile(Buffer.from(path, 'utf8'), this.#sorted);
    return row === null ? null : this.#fileAt(row);
  }

  /** Path and size of each file, in the order of the tree. */
  *list(): Generator<{ readonly path: string; readonly size: number }, void> {
    for (const row of this.#sorted) yield { path: this.#entries.pathOf(row), size: this.#entries.sizeOf(row) };
  }

  #fileAt(row: number): PreviousFile {
    const entry = this.#entries.entryOf(row);
    assert(entry.type === 'file', 'only files are kept');
    const { size, content } = entry;
    const leafCount = content.form === 'inline' ? 1 : content.leaves.length;
    const leaves = content.form === 'inline' ? [] : content.leaves;
    assert(content.form === 'inline' || leafCount === Math.ceil(size / MAP_LEAF_BYTES), 'a map leaf covers 8 MiB');
    return {
      ...{ size, leafCount, content },
      leaf: async (n) => (content.form === 'inline' ? (n === 0 ? content.map : null) : this.#readLeaf(leaves[n])),
      leafId: (n) => {
        const id = leaves[n];
        return id !== undefined && this.#index.has(id) ? id : null;
      },
    };
  }

  async #readLeaf(id: Buffer | undefined): Promise<FileMap | null> {
    if (id === undefined) return null;
    try {
      return decodeFileMap(await this.#readChunk(id));
    } catch (error) {
      if (!isTreeLoss(error)) throw error;
      return null;
    }
  }
}
