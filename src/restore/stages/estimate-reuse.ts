import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import {
  decodeFileMap,
  type FetchChunk,
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
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
  /** Bytes of files that take space there, as far as the backup's reach; where they are gone over, these take no more. */
  readonly presentBytes: number;
  readonly sampledBytes: number;
  /** Of the snapshot's bytes, those that are likely to stay as they are. */
  readonly reusedBytes: number;
}

/** So many places are looked into, spread evenly over all bytes: enough for a share to within a few per cent, in a fraction of a second. */
const SAMPLES = 96;
/** What is compared at each place that has fingerprints; a whole leaf where it has none. */
const SAMPLE_BYTES = 1 << 20;
/** No closer together than this: a small cluster is then compared as a whole. */
const SAMPLE_STRIDE_BYTES_MIN = 1 << 20;
/** The unit of `blocks`, whatever the file system's own is. */
const BLOCK_BYTES = 512;

/**
 * Estimates how much of a snapshot's files lies in a directory already. It reads the map leaves of the places that it looks into, and there
 * compares a part, as the restore itself will.
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
    this.#present += Math.min(await spaceOf(path), entry.size);
    const end = this.#passed + entry.size;
    let known: { leaf: number; map: FileMap } | undefined;
    for (; this.#next < end; this.#next += this.#stride) {
      const at = this.#next - this.#passed;
      const leaf = Math.floor(at / MAP_LEAF_BYTES);
      const isKnown = known?.leaf === leaf;
      const { map }: { map: FileMap } =
        known !== undefined && isKnown ? known : { map: await this.#readLeaf(entry, leaf) };
      known = { leaf, map };
      const part = partOf(map, at % MAP_LEAF_BYTES);
      if (part !== null) await this.#sample(path, leaf * MAP_LEAF_BYTES + part.start, part);
      else if (!isKnown) await this.#sample(path, leaf * MAP_LEAF_BYTES, { length: mapLength(map), map });
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

  async #sample(path: string, start: number, { length, map }: { length: number; map: FileMap }): Promise<void> {
    this.#sampled += length;
    const file = await openOrNull(path);
    if (file === null) return;
    try {
      const differences = await this.#comparer.compare(file, start, length, map);
      this.#equal += length - differences.reduce((sum, difference) => sum + difference.length, 0);
    } finally {
      await file.close();
    }
  }

  async #readLeaf({ content }: FileEntry, leaf: number): Promise<FileMap> {
    return content.form === 'inline' ? content.map : decodeFileMap(await this.#readChunk(content.leaves[leaf]!));
  }
}

/** The part of a map around a place, as far as its pages' fingerprints tell; null for a map without any, which is compared chunk by chunk. */
function partOf(map: FileMap, at: number): { start: number; length: number; map: FileMap } | null {
  if (map.fingerprints === null) return null;
  const start = Math.floor(at / SAMPLE_BYTES) * SAMPLE_BYTES;
  const length = Math.min(SAMPLE_BYTES, mapLength(map) - start);
  const [from, pages] = [start / FINGERPRINT_PAGE_BYTES, Math.floor(length / FINGERPRINT_PAGE_BYTES)];
  const fingerprints = map.fingerprints.subarray(from * FINGERPRINT_BYTES, (from + pages) * FINGERPRINT_BYTES);
  return { start, length, map: { extents: [], fingerprints } };
}

/** What a file takes on the disk: one that is made with its final size is full of holes at first. */
async function spaceOf(path: string): Promise<number> {
  const found = await lookAt(path);
  return Math.min(found?.size ?? 0, (found?.blocks ?? 0) * BLOCK_BYTES);
}

async function lookAt(path: string): Promise<Stats | null> {
  try {
    const found = await lstat(path);
    return found.isFile() ? found : null;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return null;
    throw error;
  }
}

/** Null for what the restore will not compare either: a directory or a link in the place of a file. */
async function openOrNull(path: string): Promise<FileHandle | null> {
  if (((await lookAt(path))?.size ?? 0) === 0) return null;
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    // A running server may have removed the file since its size was read.
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
