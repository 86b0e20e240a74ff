import { BLOCK_BYTES, type IncrementHead } from '../../../postgres/index.ts';
import {
  type ChunkIndex,
  encodeFileMap,
  type FileContent,
  type FileMap,
  MAP_LEAF_BYTES,
  mapLength,
  type PatchedPage,
  patchMap,
  SLAB_BYTES,
} from '../../../repository/index.ts';
import type { PageAnswered } from '../page-bundler.ts';
import type { PreviousFile } from '../previous/index.ts';
import { LeafPages } from './leaf-pages.ts';

/** The map of a file of at most so many bytes stands in its entry (design 7). */
const INLINE_BYTES_MAX = SLAB_BYTES;
const LEAF_BLOCKS = MAP_LEAF_BYTES / BLOCK_BYTES;

/** Through what the map of a file is made, and who is told of it. */
export interface PatchParts {
  readonly base: PreviousFile;
  readonly index: ChunkIndex;
  readonly storeLeaf: (raw: Uint8Array) => Promise<Buffer>;
  /** Of a page of zeros. */
  readonly zeroFingerprint: Buffer;
  /** Has the work for one leaf waited for. */
  readonly track: (work: Promise<void>) => void;
  /** Called once, when all of the map is known. */
  readonly whole: (content: FileContent) => void;
  /** Called when the base lacks what it should have; the file is never whole then. */
  readonly lost: () => void;
}

/**
 * One file of which only changes came: its map is made of them and of the base's map, leaf by leaf (`docs/increments.md`, "How files are assembled").
 *
 * Blocks are announced in their order; where each lies becomes known in any order. Of the base, only the map leaves in which something changed are read.
 */
export class PatchedFile {
  /** In bytes. */
  readonly size: number;
  readonly #parts: PatchParts;
  /** Bytes before this are the base's where no block came. */
  readonly #keptLength: number;
  readonly #leafCount: number;
  readonly #leafIds: Buffer[] = [];
  readonly #hasBlocks: boolean;
  #settled = 0;
  /** The first leaf of which more blocks may come, with those that came. */
  #next = 0;
  #open: LeafPages | null = null;

  constructor({ blocks, truncationLength }: IncrementHead, parts: PatchParts) {
    const blockCount = Math.max(truncationLength, (blocks.at(-1) ?? -1) + 1);
    this.size = blockCount * BLOCK_BYTES;
    this.#parts = parts;
    this.#keptLength = Math.min(truncationLength * BLOCK_BYTES, parts.base.size);
    this.#leafCount = Math.max(1, Math.ceil(this.size / MAP_LEAF_BYTES));
    this.#hasBlocks = blocks.length > 0;
  }

  /** Announces the next changed block; gives who is to be told where it lies. */
  addBlock(block: number): PageAnswered {
    this.#closeLeavesBefore(Math.floor(block / LEAF_BLOCKS));
    this.#open ??= new LeafPages();
    const [leaf, page] = [this.#open, block % LEAF_BLOCKS];
    leaf.expect();
    return (id, offset, fingerprint) => leaf.add({ page, id, offset, fingerprint });
  }

  /** All blocks were announced. */
  end(): void {
    if (this.#isUnchanged()) this.#keepAll();
    else this.#closeLeavesBefore(this.#leafCount);
  }

  #isUnchanged(): boolean {
    const { base } = this.#parts;
    return !this.#hasBlocks && this.size === base.size && this.#keptLength === base.size;
  }

  /** Most files of most increments: nothing is read or stored. */
  #keepAll(): void {
    const { base, index } = this.#parts;
    const { content } = base;
    const ids = content.form === 'split' ? content.leaves : chunksOf(content.map);
    if (ids.every((id) => index.has(id))) this.#parts.whole(content);
    else this.#parts.lost();
  }

  #closeLeavesBefore(end: number): void {
    for (; this.#next < end; this.#next++) {
      const pages = this.#open;
      this.#open = null;
      pages?.close();
      if (pages === null && this.#keepsLeaf(this.#next)) continue;
      this.#parts.track(this.#patchLeaf(this.#next, pages));
    }
  }

  /** Whether a leaf without changed pages is one of the base as it is; then it is taken. */
  #keepsLeaf(number: number): boolean {
    const { base } = this.#parts;
    const { length, kept } = this.#extentOf(number);
    const isSame = kept === length && length === lengthOfLeaf(base.size, number);
    if (!isSame || this.size <= INLINE_BYTES_MAX || base.content.form === 'inline') return false;
    const id = base.leafId(number);
    if (id === null) this.#parts.lost();
    else this.#settleLeaf(number, id);
    return true;
  }

  async #patchLeaf(number: number, changed: LeafPages | null): Promise<void> {
    const { base, zeroFingerprint, storeLeaf } = this.#parts;
    const { length, kept } = this.#extentOf(number);
    const [previous, pages] = await Promise.all([kept > 0 ? base.leaf(number) : null, changed?.inOrder() ?? []]);
    const baseLength = lengthOfLeaf(base.size, number);
    if (kept > 0 && (previous === null || mapLength(previous) !== baseLength)) return this.#parts.lost();
    const map = patchMap(previous, { length, keptLength: kept, pages, zeroFingerprint });
    if (!this.#isKnown(map, pages)) return this.#parts.lost();
    if (this.size <= INLINE_BYTES_MAX) this.#parts.whole({ form: 'inline', map });
    else this.#settleLeaf(number, await storeLeaf(encodeFileMap(map)));
  }

  /** Whether every chunk that the base gave is one to be counted on (rule A1). What is new is on its way, and not in the index yet. */
  #isKnown(map: FileMap, pages: readonly PatchedPage[]): boolean {
    const fresh = new Set(pages.map(({ id }) => id));
    return chunksOf(map).every((id) => fresh.has(id) || this.#parts.index.has(id));
  }

  #settleLeaf(number: number, id: Buffer): void {
    this.#leafIds[number] = id;
    this.#settled += 1;
    if (this.#settled === this.#leafCount) this.#parts.whole({ form: 'split', leaves: this.#leafIds });
  }

  #extentOf(leaf: number): { length: number; kept: number } {
    const length = lengthOfLeaf(this.size, leaf);
    return { length, kept: Math.min(length, lengthOfLeaf(this.#keptLength, leaf)) };
  }
}

/** Bytes of a file of this size that lie in its n-th leaf. */
function lengthOfLeaf(size: number, leaf: number): number {
  return Math.max(0, Math.min(MAP_LEAF_BYTES, size - leaf * MAP_LEAF_BYTES));
}

function chunksOf({ extents }: FileMap): Buffer[] {
  return extents.flatMap((extent) => (extent.form === 'chunk' ? [extent.id] : []));
}
