import { HoldfastError } from '../../lib/index.ts';

/** How a server names the file in which it sends only the changed blocks of another one. */
export const INCREMENT_PREFIX = 'INCREMENTAL.';

const MAGIC = 0xd3ae1f0d;
const HEAD_BYTES = 12;
const BLOCK_BYTES = 8192;
/** Blocks of a segment of a relation, as every package of PostgreSQL has it. */
const SEGMENT_BLOCKS = 131_072;

/** What an increment of a file says before its blocks. */
export interface IncrementHead {
  /** Numbers of the blocks that follow, counted from the beginning of this file (a segment of its relation), in order. */
  readonly blocks: Uint32Array;
  /** Blocks up to which the older file counts where no block is given. */
  readonly truncationLength: number;
}

/** Who takes an increment of a file apart. A view is good until the method returns or its promise is settled. */
export interface IncrementSink {
  onHead(head: IncrementHead): void;
  /** The 8 KiB of `head.blocks[index]`. */
  onBlock(index: number, page: Buffer): void | Promise<void>;
}

/**
 * Takes apart a file that a server sends as an increment; bytes come in any pieces, one file at a time.
 *
 * Shape:  u32 magic · u32 number of blocks · u32 truncation length · u32 × block number; then, if there are blocks, zeros up to a multiple of
 *         8 KiB and the blocks. In the byte order of the server, which is little-endian wherever PostgreSQL runs today.
 * Errors: PG_INCREMENT_INVALID.
 * Source: PostgreSQL 18, basebackup.c, sendFile; basebackup_incremental.c, GetIncrementalFileSize.
 */
export class IncrementFileReader {
  readonly #sink: IncrementSink;
  /** What came of the head or of a block that is not whole yet. */
  readonly #part = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #head: IncrementHead | null = null;
  /** The head and its padding; grows when the number of blocks is known. */
  #headBytes: Buffer = Buffer.alloc(HEAD_BYTES);
  #used = 0;
  #block = 0;

  constructor(sink: IncrementSink) {
    this.#sink = sink;
  }

  /** Takes the next bytes; gives a promise only when the sink does. */
  push(bytes: Buffer): void | Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#head === null) {
        rest = this.#takeHead(rest);
        continue;
      }
      if (this.#block >= this.#head.blocks.length) throw invalid('More bytes came than it has blocks.');
      const [page, left] = this.#takeBlock(rest);
      rest = left;
      if (page === null) return;
      const waiting = this.#sink.onBlock(this.#block++, page);
      if (waiting !== undefined) return rest.length === 0 ? waiting : waiting.then(() => this.push(left));
    }
  }

  /** After the last byte of the file. */
  end(): void {
    if (this.#head === null || this.#used > 0 || this.#block < this.#head.blocks.length) {
      throw invalid('It ended before all of its blocks had come.');
    }
  }

  #takeHead(bytes: Buffer): Buffer {
    const taken = bytes.copy(this.#headBytes, this.#used);
    this.#used += taken;
    if (this.#used === this.#headBytes.length && !this.#growHead()) this.#endHead();
    return bytes.subarray(taken);
  }

  /** Whether more of the head is to come, as its beginning says. */
  #growHead(): boolean {
    if (this.#headBytes.readUInt32LE(0) !== MAGIC) throw invalid('It does not begin as an increment does.');
    const [blocks, truncation] = [this.#headBytes.readUInt32LE(4), this.#headBytes.readUInt32LE(8)];
    if (blocks > SEGMENT_BLOCKS || truncation > SEGMENT_BLOCKS) {
      throw invalid(
        `It names ${blocks} blocks and a length of ${truncation}, and a file has at most ${SEGMENT_BLOCKS}.`,
      );
    }
    const bytes = HEAD_BYTES + blocks * 4;
    const padded = blocks === 0 ? bytes : Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
    if (padded === this.#headBytes.length) return false;
    const grown = Buffer.alloc(padded);
    this.#headBytes.copy(grown);
    this.#headBytes = grown;
    return true;
  }

  #endHead(): void {
    const blocks = new Uint32Array(this.#headBytes.readUInt32LE(4));
    for (let i = 0; i < blocks.length; i++) {
      const block = this.#headBytes.readUInt32LE(HEAD_BYTES + i * 4);
      if (block >= SEGMENT_BLOCKS || (i > 0 && block <= blocks[i - 1]!)) {
        throw invalid(`Block ${block} is out of order, or out of the file.`);
      }
      blocks[i] = block;
    }
    this.#head = { blocks, truncationLength: this.#headBytes.readUInt32LE(8) };
    this.#headBytes = Buffer.alloc(0);
    this.#used = 0;
    this.#sink.onHead(this.#head);
  }

  /** The next block if it is whole, and what is left. A block that comes in one piece is not copied. */
  #takeBlock(bytes: Buffer): [Buffer | null, Buffer] {
    if (this.#used === 0 && bytes.length >= BLOCK_BYTES) {
      return [bytes.subarray(0, BLOCK_BYTES), bytes.subarray(BLOCK_BYTES)];
    }
    const taken = bytes.copy(this.#part, this.#used);
    this.#used += taken;
    if (this.#used < BLOCK_BYTES) return [null, bytes.subarray(taken)];
    this.#used = 0;
    return [this.#part, bytes.subarray(taken)];
  }
}

function invalid(detail: string): HoldfastError {
  return new HoldfastError('PG_INCREMENT_INVALID', 'invalid increment of a data file', { detail });
}
