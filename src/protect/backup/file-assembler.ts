import { crc32c } from '@node-rs/crc32';
import { assert } from '../../lib/index.ts';
import {
  comparePaths,
  type Extent,
  encodeFileMap,
  FINGERPRINT_PAGE_BYTES,
  type FileMap,
  type IngestPipeline,
  type IngestResult,
  type IngestSlab,
  MAP_LEAF_BYTES,
  SLAB_BYTES,
  SLAB_PIECES_MAX,
  type TreeEntry,
} from '../../repository/index.ts';

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

/** Size and CRC-32C of a file as received, to be held against the server's manifest. */
export interface ReceivedFile {
  size: number;
  crc32c: number;
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
  readonly #pipeline: IngestPipeline;
  readonly #storeLeaf: (raw: Uint8Array) => Promise<Buffer>;
  readonly #entries: TreeEntry[] = [];
  readonly #received = new Map<string, ReceivedFile>();
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
  addEntry(entry: TreeEntry): void {
    this.#entries.push(entry);
  }

  beginFile(head: FileHead): void {
    assert(this.#file === null, 'one file at a time');
    this.#file = { head, received: 0, crc: 0, leaves: [], leafIds: [] };
  }

  /** Whether a file of this path was received whole. */
  has(path: string): boolean {
    return this.#received.has(path);
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
    this.#received.set(file.head.path, { size: file.received, crc32c: file.crc });
    if (file.received === 0) {
      this.#keepEntry(file, { form: 'inline', map: { extents: [], fingerprints: null } });
    }
  }

  /** Hands over the last slab and waits until every file's map is known. Gives the entries, sorted by path. */
  async finish(): Promise<{ entries: TreeEntry[]; received: Map<string, ReceivedFile>; stored: IngestResult }> {
    assert(this.#file === null, 'the last file was ended');
    if (this.#slab !== null) this.#pipeline.submit(this.#slab);
    this.#slab = null;
    const stored = await this.#pipeline.finish();
    while (this.#leavesInWork.size > 0) await Promise.all(this.#leavesInWork);
    if (this.#failure !== null) throw this.#failure;
    this.#entries.sort((a, b) => comparePaths(a.path, b.path));
    return { entries: this.#entries, received: this.#received, stored };
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
      const leaf = this.#leafOf(file, Math.floor(chunk / CHUNKS_PER_LEAF));
      const slot = chunk % CHUNKS_PER_LEAF;
      if (last || slot === CHUNKS_PER_LEAF - 1) leaf.pieces = slot + 1;
      const fingerprinted = file.head.paged && length % FINGERPRINT_PAGE_BYTES === 0;
      this.#slabUsed = this.#pieceAt + length;
      this.#slab!.addPiece(this.#pieceAt, length, fingerprinted, (id, fingerprints) => {
        leaf.extents[slot] = { form: 'chunk', id, offset: 0, length };
        leaf.fingerprints[slot] = fingerprints;
        leaf.hashed += 1;
        this.#finishLeaf(file, leaf);
      });
    }
    this.#pieceLength = -1;
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

  /** Once the last piece of a leaf was hashed: a small file gets its map inline, a large one has the leaf stored. */
  #finishLeaf(file: OpenFile, leaf: Leaf): void {
    if (leaf.pieces === null || leaf.hashed < leaf.pieces) return;
    const map = toMap(leaf);
    const number = file.leaves.indexOf(leaf);
    if (number === 0 && leaf.pieces === 1 && this.#isWhole(file)) {
      this.#keepEntry(file, { form: 'inline', map });
      return;
    }
    const work = this.#storeLeaf(encodeFileMap(map)).then(
      (id) => {
        file.leafIds[number] = id;
        leaf.extents = [];
        leaf.fingerprints = [];
        if (this.#isWhole(file) && file.leafIds.every((known) => known !== null)) {
          this.#keepEntry(file, { form: 'split', leaves: file.leafIds as Buffer[] });
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

  #keepEntry(file: OpenFile, content: (TreeEntry & { type: 'file' })['content']): void {
    const { path, mode, mtimeMs } = file.head;
    this.#entries.push({ type: 'file', path, mode, mtimeMs, size: file.received, content });
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
