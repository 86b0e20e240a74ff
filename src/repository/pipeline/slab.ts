import { assert } from '../../lib/index.ts';
import { FINGERPRINT_BYTES, FINGERPRINT_PAGE_BYTES, PageFingerprinter } from '../fingerprint/index.ts';

/** Raw bytes that one slab holds: one chunk of the greatest size, or many small ones. */
export const SLAB_BYTES = 1 << 20;
/** Chunks that one slab may hold; bounds the bookkeeping beside the bytes. */
export const SLAB_PIECES_MAX = 1024;

/** Offset · length · flags · pages of which the fingerprints of an older version are given. */
const PIECE_WORDS = 4;
const FLAG_FINGERPRINTED = 1;
const FLAG_COMPARED = 2;
const FLAG_PATCHABLE = 4;
const ID_BYTES = 32;
const WASM_PAGE_BYTES = 65_536;
const SLAB_PAGES = SLAB_BYTES / FINGERPRINT_PAGE_BYTES;
const FINGERPRINTS_BYTES = SLAB_PAGES * FINGERPRINT_BYTES;
const PIECES_AT = SLAB_BYTES;
const IDS_AT = PIECES_AT + SLAB_PIECES_MAX * PIECE_WORDS * 4;
const NEEDED_AT = IDS_AT + SLAB_PIECES_MAX * ID_BYTES;
const OUTCOMES_AT = NEEDED_AT + SLAB_PIECES_MAX;
const FINGERPRINTS_AT = OUTCOMES_AT + SLAB_PIECES_MAX;
const PREVIOUS_AT = FINGERPRINTS_AT + FINGERPRINTS_BYTES;
const CHANGED_AT = PREVIOUS_AT + FINGERPRINTS_BYTES;
const SLAB_STRIDE = Math.ceil((CHANGED_AT + SLAB_PAGES) / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
const SLABS_AT = Math.ceil(PageFingerprinter.keyBytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;

/** What a worker found of a piece: its identity, or that the older version has the same pages, or most of them. */
export type PieceOutcome = 'hashed' | 'unchanged' | 'changed';
const OUTCOMES: readonly PieceOutcome[] = ['hashed', 'unchanged', 'changed'];

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
 * Bytes lie from 0 to `SLAB_BYTES`; beside them a table of pieces, the identities that the worker computed, a byte per piece that says
 * whether it has to be stored and one for its outcome. By page number in the slab: the fingerprints of all flagged pieces, those of the older
 * versions that compared pieces are held against, and a byte that says whether the page differs.
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
  readonly #outcomes: Uint8Array;
  readonly #fingerprints: Buffer;
  readonly #previous: Buffer;
  readonly #changed: Uint8Array;
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
    this.#outcomes = new Uint8Array(shared, at + OUTCOMES_AT, SLAB_PIECES_MAX);
    this.#fingerprints = Buffer.from(shared, at + FINGERPRINTS_AT, FINGERPRINTS_BYTES);
    this.#previous = Buffer.from(shared, at + PREVIOUS_AT, FINGERPRINTS_BYTES);
    this.#changed = new Uint8Array(shared, at + CHANGED_AT, SLAB_PAGES);
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
    this.#pieces[word + 2] = fingerprinted ? FLAG_FINGERPRINTED : 0;
    this.#pieces[word + 3] = 0;
    this.#count += 1;
  }

  /** Adds a fingerprinted piece that is held against an older version; of its pages behind those of the older version all count as changed. */
  addComparedPiece(offset: number, length: number, previous: Uint8Array, patchable: boolean): void {
    this.addPiece(offset, length, true);
    const pages = Math.min(length / FINGERPRINT_PAGE_BYTES, previous.length / FINGERPRINT_BYTES);
    const word = (this.#count - 1) * PIECE_WORDS;
    this.#pieces[word + 2] = FLAG_FINGERPRINTED | FLAG_COMPARED | (patchable ? FLAG_PATCHABLE : 0);
    this.#pieces[word + 3] = pages;
    const first = (offset / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_BYTES;
    this.#previous.set(previous.subarray(0, pages * FINGERPRINT_BYTES), first);
  }

  pieceOffset(piece: number): number {
    return this.#pieces[piece * PIECE_WORDS]!;
  }

  pieceLength(piece: number): number {
    return this.#pieces[piece * PIECE_WORDS + 1]!;
  }

  isFingerprinted(piece: number): boolean {
    return (this.#flagsOf(piece) & FLAG_FINGERPRINTED) !== 0;
  }

  /** Whether the piece is held against an older version. */
  isCompared(piece: number): boolean {
    return (this.#flagsOf(piece) & FLAG_COMPARED) !== 0;
  }

  outcomeOf(piece: number): PieceOutcome {
    return OUTCOMES[this.#outcomes[piece]!]!;
  }

  setOutcome(piece: number, outcome: PieceOutcome): void {
    this.#outcomes[piece] = OUTCOMES.indexOf(outcome);
  }

  /** A view into shared memory: a byte for each page of the piece, 1 where it is not the page of the older version. */
  pieceChanges(piece: number): Uint8Array {
    const first = this.pieceOffset(piece) / FINGERPRINT_PAGE_BYTES;
    return this.#changed.subarray(first, first + this.pieceLength(piece) / FINGERPRINT_PAGE_BYTES);
  }

  /** For the worker, once the piece is fingerprinted: notes which pages differ, and gives what follows from how many there are. */
  compare(piece: number): PieceOutcome {
    const first = this.pieceOffset(piece) / FINGERPRINT_PAGE_BYTES;
    const pages = this.pieceLength(piece) / FINGERPRINT_PAGE_BYTES;
    const compared = this.#pieces[piece * PIECE_WORDS + 3]!;
    let changes = 0;
    for (let page = 0; page < pages; page++) {
      const at = (first + page) * FINGERPRINT_BYTES;
      const isChanged = page >= compared || this.#fingerprints.compare(this.#previous, at, at + 8, at, at + 8) !== 0;
      this.#changed[first + page] = isChanged ? 1 : 0;
      if (isChanged) changes += 1;
    }
    if (changes === 0) return 'unchanged';
    const isPatchable = (this.#flagsOf(piece) & FLAG_PATCHABLE) !== 0;
    return isPatchable && changes * 2 <= pages ? 'changed' : 'hashed';
  }

  #flagsOf(piece: number): number {
    return this.#pieces[piece * PIECE_WORDS + 2]!;
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
