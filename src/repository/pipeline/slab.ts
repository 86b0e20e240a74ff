import { assert } from '../../lib/index.ts';
import { FINGERPRINT_BYTES, FINGERPRINT_PAGE_BYTES, PageFingerprinter } from '../fingerprint/index.ts';

/** Raw bytes that one slab holds: one chunk of the greatest size, or many small ones. */
export const SLAB_BYTES = 1 << 20;
/** Chunks that one slab may hold; bounds the bookkeeping beside the bytes. */
export const SLAB_PIECES_MAX = 1024;

const PIECE_WORDS = 3;
const ID_BYTES = 32;
const WASM_PAGE_BYTES = 65_536;
const FINGERPRINTS_BYTES = (SLAB_BYTES / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_BYTES;
const PIECES_AT = SLAB_BYTES;
const IDS_AT = PIECES_AT + SLAB_PIECES_MAX * PIECE_WORDS * 4;
const NEEDED_AT = IDS_AT + SLAB_PIECES_MAX * ID_BYTES;
const FINGERPRINTS_AT = NEEDED_AT + SLAB_PIECES_MAX;
const SLAB_STRIDE = Math.ceil((FINGERPRINTS_AT + FINGERPRINTS_BYTES) / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
const SLABS_AT = Math.ceil(PageFingerprinter.keyBytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;

/** Where the expanded fingerprint key lies in the memory. */
export const FINGERPRINT_KEY_AT = 0;

/** The memory that the main thread and all workers share: the fingerprint key, then the slabs. */
export function allocateSlabMemory(slabs: number): WebAssembly.Memory {
  const pages = (SLABS_AT + slabs * SLAB_STRIDE) / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/**
 * The view of one slab, the same in the main thread and in a worker.
 *
 * Bytes lie from 0 to `SLAB_BYTES`; beside them a table of pieces (offset, length, flag), the identities that the worker computed,
 * a byte per piece that says whether it has to be stored, and the page fingerprints of all flagged pieces, by page number in the slab.
 * Only one side touches a slab at a time; messages hand it over.
 */
export class SlabView {
  readonly number: number;
  readonly bytes: Buffer;
  readonly bytesAt: number;
  readonly fingerprintsAt: number;
  readonly #pieces: Uint32Array;
  readonly #ids: Buffer;
  readonly #needed: Uint8Array;
  readonly #fingerprints: Buffer;
  #count = 0;

  constructor(memory: WebAssembly.Memory, number: number) {
    const at = SLABS_AT + number * SLAB_STRIDE;
    const shared = memory.buffer;
    this.number = number;
    this.bytesAt = at;
    this.fingerprintsAt = at + FINGERPRINTS_AT;
    this.bytes = Buffer.from(shared, at, SLAB_BYTES);
    this.#pieces = new Uint32Array(shared, at + PIECES_AT, SLAB_PIECES_MAX * PIECE_WORDS);
    this.#ids = Buffer.from(shared, at + IDS_AT, SLAB_PIECES_MAX * ID_BYTES);
    this.#needed = new Uint8Array(shared, at + NEEDED_AT, SLAB_PIECES_MAX);
    this.#fingerprints = Buffer.from(shared, at + FINGERPRINTS_AT, FINGERPRINTS_BYTES);
  }

  get count(): number {
    return this.#count;
  }

  /** Forgets the pieces; `count` is for the worker, which learns it by message. */
  reset(count = 0): void {
    this.#count = count;
  }

  /** Adds a piece; a fingerprinted one starts at a multiple of 8 KiB and is whole pages long. */
  addPiece(offset: number, length: number, fingerprinted: boolean): void {
    assert(this.#count < SLAB_PIECES_MAX, 'a slab holds at most SLAB_PIECES_MAX pieces');
    assert(offset + length <= SLAB_BYTES, 'a piece lies inside its slab');
    if (fingerprinted) {
      assert(offset % FINGERPRINT_PAGE_BYTES === 0, 'a fingerprinted piece starts at a page');
      assert(length % FINGERPRINT_PAGE_BYTES === 0, 'a fingerprinted piece is whole pages');
    }
    const word = this.#count * PIECE_WORDS;
    this.#pieces[word] = offset;
    this.#pieces[word + 1] = length;
    this.#pieces[word + 2] = fingerprinted ? 1 : 0;
    this.#count += 1;
  }

  pieceOffset(piece: number): number {
    return this.#pieces[piece * PIECE_WORDS]!;
  }

  pieceLength(piece: number): number {
    return this.#pieces[piece * PIECE_WORDS + 1]!;
  }

  isFingerprinted(piece: number): boolean {
    return this.#pieces[piece * PIECE_WORDS + 2] === 1;
  }

  pieceBytes(piece: number): Buffer {
    const offset = this.pieceOffset(piece);
    return this.bytes.subarray(offset, offset + this.pieceLength(piece));
  }

  /** A view into shared memory; copy it to keep it. */
  pieceId(piece: number): Buffer {
    return this.#ids.subarray(piece * ID_BYTES, (piece + 1) * ID_BYTES);
  }

  /** A view into shared memory of 8 bytes for each page of the piece. */
  pieceFingerprints(piece: number): Buffer {
    const first = (this.pieceOffset(piece) / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_BYTES;
    const length = (this.pieceLength(piece) / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_BYTES;
    return this.#fingerprints.subarray(first, first + length);
  }

  isNeeded(piece: number): boolean {
    return this.#needed[piece] === 1;
  }

  setNeeded(piece: number, needed: boolean): void {
    this.#needed[piece] = needed ? 1 : 0;
  }
}
