import { crc32c } from '@node-rs/crc32';
import { assert } from '../../lib/index.ts';
import {
  type Extent,
  encodeFileMap,
  FINGERPRINT_PAGE_BYTES,
  type FileContent,
  type FileMap,
  type IngestPipeline,
  type IngestResult,
  type IngestSlab,
  MAP_LEAF_BYTES,
  type PieceHashed,
  SLAB_BYTES,
  SLAB_PIECES_MAX,
  type TreeEntry,
} from '../../repository/index.ts';
import { EntryTable } from './entry-table.ts';

/** Raw bytes of one chunk at most: a slab. */
const CHUNK_BYTES = SLAB_BYTES;
const CHUNKS_PER_LEAF = MAP_LEAF_BYTES / CHUNK_BYTES;

/** What is known of a file before its bytes come. `size` is null when only the end will tell. */
export interface FileHead {
  path: string;
  mode: number;
  mtimeMs: number;
  size: number | null;
  /** Whether the bytes are pages of PostgreSQL, so that each gets a fingerprint. */
  paged: boolean;
}

interface Leaf {
  extents: (Extent | null)[];
  fingerprints: (Buffer | null)[];
  hashed: number;
  /** Null until the last piece of the leaf was cut. */
  pieces: number | null;
}

interface OpenFile {
  head: FileHead;
  row: number;
  received: number;
  crc: number;
  leaves: Leaf[];
  leafIds: (Buffer | null)[];
}

/**
 * Cuts a stream of files into chunks in slabs and builds the map of each file from the answers.
 *
 * Chunks begin at multiples of 1 MiB of their file, so that the same file cut again gives the same chunks. Small files share a slab.
 * The bytes of one file must come in order; the answers of the pipeline come in any order.
 */
export class FileAssembler {
  /** What has come so far; the contents of a file are known some time after its end. */
  readonly entries = new EntryTable();
  readonly #pipeline: IngestPipeline;
  readonly #storeLeaf: (raw: Uint8Array) => Promise<Buffer>;
  readonly #leavesInWork = new Set<Promise<void>>();
  #failure: unknown = null;
  #slab: IngestSlab | null = null;
  #slabUsed = 0;
  #pieceAt = 0;
  /** Bytes in the open piece, −1 while none is open. */
  #pieceLength = -1;
  #file: OpenFile | null = null;

  constructor(options: { pipeline: IngestPipeline; storeLeaf: (raw: Uint8Array) => Promise<Buffer> }) {
    this.#pipeline = options.pipeline;
    this.#storeLeaf = options.storeLeaf;
  }

  /** Adds a directory or a link as it is. */
  addEntry(entry: Exclude<TreeEntry, { type: 'file' }>): void {
    this.entries.addOther(entry);
  }

  beginFile(head: FileHead): void {
    assert(this.#file === null, 'one file at a time');
    this.#file = { head, row: this.entries.addFile(head), received: 0, crc: 0, leaves: [], leafIds: [] };
  }

  /** Takes the next bytes of the open file; gives a promise only when it has to wait for a free slab. */
  write(bytes: Uint8Array): void | Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const room = this.#roomInPiece();
      if (room === 0) {
        const left = rest;
        return this.#nextSlab().then(() => this.write(left));
      }
      const part = rest.subarray(0, room);
      this.#take(part);
      rest = rest.subarray(part.length);
    }
  }

  /** Ends the open file. */
  endFile(): void {
    const file = this.#file!;
    assert(file.head.size === null || file.received === file.head.size, 'a file has the size that its header names');
    this.#cutPiece(true);
    this.#file = null;
    this.entries.setReceived(file.row, { size: file.received, crc32c: file.crc });
    if (file.received === 0) {
      this.#keepContent(file, { form: 'inline', map: { extents: [], fingerprints: null } });
    }
  }

  /** Hands over the last slab and waits until every file's map is known: then `entries` is complete. */
  async finish(): Promise<IngestResult> {
    assert(this.#file === null, 'the last file was ended');
    if (this.#slab !== null) this.#pipeline.submit(this.#slab);
    this.#slab = null;
    const stored = await this.#pipeline.seal();
    while (this.#leavesInWork.size > 0) await Promise.all(this.#leavesInWork);
    if (this.#failure !== null) throw this.#failure;
    return stored;
  }

  /** Bytes that fit into the open piece; 0 when a new slab is needed first. Begins a piece where none is open. */
  #roomInPiece(): number {
    const file = this.#file!;
    const inPiece = file.received % CHUNK_BYTES;
    if (inPiece === 0) {
      if (file.received > 0) this.#cutPiece(false);
      if (!this.#beginPiece()) return 0;
    }
    return CHUNK_BYTES - inPiece;
  }

  /** Finds a place for the next piece in the slab at hand; false when there is none. */
  #beginPiece(): boolean {
    if (this.#pieceLength !== -1) return true;
    if (this.#slab === null) {
      this.#slab = this.#pipeline.tryAcquireSlab();
      this.#slabUsed = 0;
      if (this.#slab === null) return false;
    }
    const file = this.#file!;
    const left = file.head.size === null ? CHUNK_BYTES : file.head.size - file.received;
    const wanted = Math.min(CHUNK_BYTES, left);
    const at = file.head.paged ? roundUp(this.#slabUsed, FINGERPRINT_PAGE_BYTES) : this.#slabUsed;
    if (at + wanted > SLAB_BYTES || this.#slab.view.count >= SLAB_PIECES_MAX) {
      this.#pipeline.submit(this.#slab);
      this.#slab = null;
      return this.#beginPiece();
    }
    this.#pieceAt = at;
    this.#pieceLength = 0;
    return true;
  }

  #take(part: Uint8Array): void {
    const file = this.#file!;
    this.#slab!.bytes.set(part, this.#pieceAt + this.#pieceLength);
    file.crc = crc32c(part, file.crc);
    this.#pieceLength += part.length;
    file.received += part.length;
  }

  /** Declares the open piece to be a chunk of the file; `last` when the file ends here. */
  #cutPiece(last: boolean): void {
    const file = this.#file!;
    if (this.#pieceLength > 0) {
      const length = this.#pieceLength;
      const chunk = Math.ceil(file.received / CHUNK_BYTES) - 1;
      const fingerprinted = file.head.paged && length % FINGERPRINT_PAGE_BYTES === 0;
      this.#slabUsed = this.#pieceAt + length;
      const hashed = last && chunk === 0 ? this.#keepsOnlyPiece(file.row, length) : this.#fillsLeaf(file, chunk, last);
      this.#slab!.addPiece(this.#pieceAt, length, fingerprinted, hashed);
    }
    this.#pieceLength = -1;
  }

  /** For a file of one chunk. Of many small files thousands are in the slabs, so this holds on to nothing but two numbers. */
  #keepsOnlyPiece(row: number, length: number): PieceHashed {
    return (id, fingerprints) => {
      const map: FileMap = { extents: [{ form: 'chunk', id, offset: 0, length }], fingerprints };
      this.entries.setContent(row, { form: 'inline', map });
    };
  }

  #fillsLeaf(file: OpenFile, chunk: number, last: boolean): PieceHashed {
    const length = this.#pieceLength;
    const leaf = this.#leafOf(file, Math.floor(chunk / CHUNKS_PER_LEAF));
    const slot = chunk % CHUNKS_PER_LEAF;
    if (last || slot === CHUNKS_PER_LEAF - 1) leaf.pieces = slot + 1;
    return (id, fingerprints) => {
      leaf.extents[slot] = { form: 'chunk', id, offset: 0, length };
      leaf.fingerprints[slot] = fingerprints;
      leaf.hashed += 1;
      this.#finishLeaf(file, leaf);
    };
  }

  #leafOf(file: OpenFile, number: number): Leaf {
    let leaf = file.leaves[number];
    if (leaf === undefined) {
      leaf = { extents: [], fingerprints: [], hashed: 0, pieces: null };
      file.leaves[number] = leaf;
      file.leafIds[number] = null;
    }
    return leaf;
  }

  /** Once the last piece of a leaf was hashed it is stored. */
  #finishLeaf(file: OpenFile, leaf: Leaf): void {
    if (leaf.pieces === null || leaf.hashed < leaf.pieces) return;
    const number = file.leaves.indexOf(leaf);
    const work = this.#storeLeaf(encodeFileMap(toMap(leaf))).then(
      (id) => {
        file.leafIds[number] = id;
        leaf.extents = [];
        leaf.fingerprints = [];
        if (this.#isWhole(file) && file.leafIds.every((known) => known !== null)) {
          this.#keepContent(file, { form: 'split', leaves: file.leafIds as Buffer[] });
        }
      },
      (error) => {
        this.#failure ??= error;
      },
    );
    this.#leavesInWork.add(work);
    void work.then(() => this.#leavesInWork.delete(work));
  }

  /** Whether all of the file was received and cut. */
  #isWhole(file: OpenFile): boolean {
    return this.#file !== file;
  }

  #keepContent(file: OpenFile, content: FileContent): void {
    this.entries.setContent(file.row, content);
  }

  async #nextSlab(): Promise<void> {
    this.#slab = await this.#pipeline.acquireSlab();
    this.#slabUsed = 0;
  }
}

function toMap(leaf: Leaf): FileMap {
  const extents = leaf.extents as Extent[];
  const paged = leaf.fingerprints.every((fingerprints) => fingerprints !== null);
  return { extents, fingerprints: paged ? Buffer.concat(leaf.fingerprints as Buffer[]) : null };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
