import {
  type ComparedAnswer,
  FINGERPRINT_PAGE_BYTES,
  type FileMap,
  type IngestSlab,
  type PieceHashed,
} from '../../repository/index.ts';
import { LeafCollector, SLOTS_PER_LEAF } from './leaf-collector.ts';
import type { MapCollector } from './map-collector.ts';
import type { PreviousFile } from './previous/index.ts';

/** Map leaves of an older backup that are fetched before the bytes that they describe have come. */
const LEAVES_AHEAD = 4;

/** One slot of a file, as it lies in a slab. Bytes. */
export interface PlacedPiece {
  /** In the slab; of pages, a multiple of 8 KiB. */
  readonly at: number;
  readonly length: number;
  /** Whether the file ends with it. */
  readonly last: boolean;
}

/** One file on its way. Its pieces are added in order, the last one marked; then `end`. */
export class CollectedFile {
  readonly #collector: MapCollector;
  readonly #row: number;
  readonly #paged: boolean;
  readonly #previous: PreviousFile | null;
  readonly #ahead = new Map<number, Promise<FileMap | null>>();
  readonly #leafIds: (Buffer | null)[] = [];
  #atHand: { leaf: number; map: FileMap | null } = { leaf: -1, map: null };
  #leaf: LeafCollector | null = null;
  #length = 0;
  #slot = 0;
  #isEnded = false;

  constructor(collector: MapCollector, options: { row: number; paged: boolean; previous: PreviousFile | null }) {
    this.#collector = collector;
    this.#row = options.row;
    this.#paged = options.paged;
    this.#previous = options.paged ? options.previous : null;
  }

  /** Fetches what is needed of the older backup for the next piece; gives a promise only when it is not at hand. */
  prepare(): void | Promise<void> {
    const previous = this.#previous;
    if (previous === null) return;
    const leaf = Math.floor(this.#slot / SLOTS_PER_LEAF);
    if (this.#atHand.leaf === leaf) return;
    if (previous.content.form === 'inline') {
      this.#atHand = { leaf, map: leaf === 0 ? previous.content.map : null };
      return;
    }
    for (let next = leaf; next <= leaf + LEAVES_AHEAD && next < previous.leafCount; next++) this.#fetch(next);
    const fetched = this.#ahead.get(leaf) ?? Promise.resolve(null);
    return fetched.then((map) => {
      this.#ahead.delete(leaf);
      this.#atHand = { leaf, map };
    });
  }

  /** Declares the next slot of the file, after `prepare`. All but the last have 1 MiB. */
  addPiece(slab: IngestSlab, piece: PlacedPiece): void {
    const { at, length, last } = piece;
    const fingerprinted = this.#paged && length % FINGERPRINT_PAGE_BYTES === 0;
    const slot = this.#slot % SLOTS_PER_LEAF;
    const isOnly = last && this.#slot === 0;
    if (isOnly && this.#previous === null) {
      this.#slot += 1;
      slab.addPiece(at, length, fingerprinted, this.#keepsOnlyPiece(length));
      return;
    }
    this.#leaf ??= this.#beginLeaf(isOnly);
    const leaf = this.#leaf;
    this.#slot += 1;
    this.#length += length;
    if (last || slot === SLOTS_PER_LEAF - 1) {
      leaf.expect(slot + 1, this.#length);
      this.#leaf = null;
      this.#length = 0;
    }
    const previous = fingerprinted ? leaf.previousSlot(slot, this.#collector.index) : null;
    const hashed: PieceHashed = (id, fingerprints) => leaf.setChunk(slot, { id, length, fingerprints });
    if (previous === null) slab.addPiece(at, length, fingerprinted, hashed);
    else slab.addComparedPiece(at, length, previous, this.#compared(leaf, { slot, length, hashed }));
  }

  /** After the last piece; of a file without contents none was added. */
  end(): void {
    this.#isEnded = true;
    this.#ahead.clear();
    if (this.#slot === 0) this.#keepMap({ extents: [], fingerprints: null });
    else this.#keepLeaves();
  }

  #fetch(leaf: number): void {
    if (this.#ahead.has(leaf)) return;
    const fetching = this.#previous!.leaf(leaf);
    // Whoever needs it sees its failure; perhaps nobody does.
    fetching.catch(() => {});
    this.#ahead.set(leaf, fetching);
  }

  /** For a file of one chunk. Of many small files thousands are in the slabs, so this holds on to little. */
  #keepsOnlyPiece(length: number): PieceHashed {
    const [entries, row] = [this.#collector.entries, this.#row];
    return (id, fingerprints) => {
      const map: FileMap = { extents: [{ form: 'chunk', id, offset: 0, length }], fingerprints };
      entries.setContent(row, { form: 'inline', map });
    };
  }

  /** `isOnly`: whether the file has no other, so that its map stands in the entry. */
  #beginLeaf(isOnly: boolean): LeafCollector {
    const number = Math.floor(this.#slot / SLOTS_PER_LEAF);
    const previous = this.#atHand.leaf === number ? this.#atHand.map : null;
    if (isOnly) return new LeafCollector(previous, (leaf) => this.#keepMap(leaf.toMap(this.#collector.index)));
    this.#leafIds[number] = null;
    return new LeafCollector(previous, (leaf) => this.#collector.track(this.#keepLeaf(leaf, number)));
  }

  #compared(
    leaf: LeafCollector,
    { slot, length, hashed }: { slot: number; length: number; hashed: PieceHashed },
  ): ComparedAnswer {
    const collector = this.#collector;
    return {
      hashed,
      unchanged: () => {
        collector.unchangedBytes += length;
        leaf.setUnchanged(slot);
      },
      changed: (piece) => collector.bundle(piece, (pages) => leaf.setPatched(slot, pages)),
    };
  }

  async #keepLeaf(leaf: LeafCollector, number: number): Promise<void> {
    const known = leaf.isUnchanged ? (this.#previous?.leafId(number) ?? null) : null;
    this.#leafIds[number] = await this.#collector.keepLeaf(leaf, known);
    this.#keepLeaves();
  }

  /** Once the file has ended and all its leaves are stored. */
  #keepLeaves(): void {
    const leaves = this.#leafIds.filter((id) => id !== null);
    if (!this.#isEnded || leaves.length === 0 || leaves.length < this.#leafIds.length) return;
    this.#collector.entries.setContent(this.#row, { form: 'split', leaves });
  }

  #keepMap(map: FileMap): void {
    this.#collector.entries.setContent(this.#row, { form: 'inline', map });
  }
}
