import { HoldfastError } from './errors.ts';

/** A growing byte buffer with little-endian writers; `finish` returns exactly what was written. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** Makes room and gives the offset; the buffer may be another one afterwards, so it is asked for only then. */
  #reserve(bytes: number): number {
    const at = this.#length;
    const needed = at + bytes;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64LE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  /** u32 length, then UTF-8. */
  text(value: string): this {
    const encoded = Buffer.from(value, 'utf8');
    return this.u32(encoded.length).bytes(encoded);
  }

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }
}

/** Reads what `ByteWriter` wrote; running past the end is `BYTES_TRUNCATED`, leftover bytes are `BYTES_TRAILING`. */
export class ByteReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(source: Uint8Array) {
    this.#buffer = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  }

  get remaining(): number {
    return this.#buffer.length - this.#at;
  }

  #take(bytes: number): number {
    if (bytes > this.remaining) {
      throw new HoldfastError('BYTES_TRUNCATED', 'encoded value ends too early', {
        detail: `Expected ${bytes} more bytes at offset ${this.#at}, found ${this.remaining}.`,
      });
    }
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#buffer.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  u64(): bigint {
    return this.#buffer.readBigUInt64LE(this.#take(8));
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  text(): string {
    return this.bytes(this.u32()).toString('utf8');
  }

  end(): void {
    if (this.remaining !== 0) {
      throw new HoldfastError('BYTES_TRAILING', 'encoded value has bytes after its end', {
        detail: `Expected the end at offset ${this.#at}, found ${this.remaining} more bytes.`,
      });
    }
  }
}
