const BLOCK_BYTES = 1 << 20;

/** Many short byte strings in few large pieces of memory: 100,000 buffers of their own would take ten times what is in them. */
export class ByteArena {
  readonly #blocks: Buffer[] = [];
  #used = BLOCK_BYTES;

  /** Copies the bytes; gives the place from which `view` finds them. */
  keep(bytes: Uint8Array): number {
    if (this.#used + bytes.length > BLOCK_BYTES) {
      // What is larger than a block gets one of its own, which then counts as full.
      this.#blocks.push(Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, bytes.length)));
      this.#used = 0;
    }
    const block = this.#blocks.length - 1;
    const at = this.#used;
    this.#blocks[block]!.set(bytes, at);
    this.#used += bytes.length;
    return block * BLOCK_BYTES + at;
  }

  /** A view of what was kept; its bytes never change. */
  view(place: number, length: number): Buffer {
    const at = place % BLOCK_BYTES;
    return this.#blockOf(place).subarray(at, at + length);
  }

  /** As `Buffer.compare` of two views, without making them. */
  compare(placeA: number, lengthA: number, placeB: number, lengthB: number): number {
    const [atA, atB] = [placeA % BLOCK_BYTES, placeB % BLOCK_BYTES];
    return this.#blockOf(placeA).compare(this.#blockOf(placeB), atB, atB + lengthB, atA, atA + lengthA);
  }

  #blockOf(place: number): Buffer {
    return this.#blocks[Math.floor(place / BLOCK_BYTES)]!;
  }
}
