import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import {
  decodeFileMap,
  type FetchChunk,
  type FileEntry,
  type FileMap,
  MAP_LEAF_BYTES,
  mapLength,
} from '../../repository/index.ts';
import { type ComparingKeys, ContentComparer } from '../content-comparer.ts';
import type { PlacedTablespace } from '../tablespaces.ts';

/** How much of a snapshot is there already, as far as looking at a part of it tells. */
export interface ReuseEstimate {
  /** The directory whose files are compared. */
  readonly from: string;
  /** Bytes of files that are there, as far as the backup's reach; of a delta, these take no more space. */
  readonly presentBytes: number;
  readonly sampledBytes: number;
  /** Of the snapshot's bytes, those that are likely to stay as they are. */
  readonly reusedBytes: number;
}

/** So many places are looked into, spread evenly over all bytes: enough for a share to within a few per cent, in about a second. */
const SAMPLES = 192;
/** No closer together than this: a small cluster is then compared as a whole. */
const SAMPLE_STRIDE_BYTES_MIN = 1 << 20;

/**
 * Estimates how much of a snapshot's files lies in a directory already. It reads the map leaves of the places that it looks into, and there
 * compares up to 8 MiB, as the restore itself will.
 */
export class ReuseEstimator {
  readonly #from: string;
  readonly #moved: ReadonlyMap<string, string>;
  readonly #readChunk: FetchChunk;
  readonly #comparer: ContentComparer;
  readonly #stride: number;
  #passed = 0;
  #next = 0;
  #present = 0;
  #sampled = 0;
  #equal = 0;

  /** `moved` are tablespaces that a delta looks for in their new places, not where the links lead now. */
  constructor(options: {
    from: string;
    moved: readonly PlacedTablespace[];
    readChunk: FetchChunk;
    keys: ComparingKeys;
    totalBytes: number;
  }) {
    this.#from = options.from;
    this.#moved = new Map(
      options.moved.flatMap(({ oid, path }) => (path === null ? [] : [[`pg_tblspc/${oid}`, path]])),
    );
    this.#readChunk = options.readChunk;
    this.#comparer = new ContentComparer(options.keys);
    this.#stride = Math.max(SAMPLE_STRIDE_BYTES_MIN, Math.ceil(options.totalBytes / SAMPLES));
  }

  /** Takes the next file of the snapshot; each, in any order. */
  async add(entry: FileEntry): Promise<void> {
    const path = this.#locate(entry.path);
    const size = await sizeOf(path);
    this.#present += Math.min(size, entry.size);
    const end = this.#passed + entry.size;
    let lastLeaf = -1;
    for (; this.#next < end; this.#next += this.#stride) {
      const leaf = Math.floor((this.#next - this.#passed) / MAP_LEAF_BYTES);
      if (leaf !== lastLeaf) await this.#sample(path, entry, leaf);
      lastLeaf = leaf;
    }
    this.#passed = end;
  }

  result(): ReuseEstimate {
    const share = this.#sampled === 0 ? 0 : this.#equal / this.#sampled;
    return {
      from: this.#from,
      presentBytes: this.#present,
      sampledBytes: this.#sampled,
      reusedBytes: Math.round(this.#passed * share),
    };
  }

  #locate(path: string): string {
    const link = path.split('/', 2).join('/');
    const moved = this.#moved.get(link);
    return moved === undefined ? join(this.#from, path) : join(moved, path.slice(link.length));
  }

  async #sample(path: string, entry: FileEntry, leaf: number): Promise<void> {
    const map = await this.#readLeaf(entry, leaf);
    const length = mapLength(map);
    this.#sampled += length;
    const file = await openOrNull(path);
    if (file === null) return;
    try {
      const differences = await this.#comparer.compare(file, leaf * MAP_LEAF_BYTES, length, map);
      this.#equal += length - differences.reduce((sum, difference) => sum + difference.length, 0);
    } finally {
      await file.close();
    }
  }

  async #readLeaf({ content }: FileEntry, leaf: number): Promise<FileMap> {
    return content.form === 'inline' ? content.map : decodeFileMap(await this.#readChunk(content.leaves[leaf]!));
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await lstat(path);
    return found.isFile() ? found.size : 0;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return 0;
    throw error;
  }
}

/** Null for what the restore will not compare either: a directory or a link in the place of a file. */
async function openOrNull(path: string): Promise<FileHandle | null> {
  if ((await sizeOf(path)) === 0) return null;
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    // A running server may have removed the file since its size was read.
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
