import { assert } from './assert.ts';
import { HoldfastError } from './errors.ts';

const SEVEN_BITS = 128;
const INT32_MAX = 0x7fffffff;
/** 2^53 needs eight groups of seven bits. */
const BYTES_MAX = 8;

/**
 * Whole numbers of 0 to 2^53 in groups of seven bits, the lowest first, each but the last with the bit 128; signed ones are folded first:
 * 0, -1, 1, -2 … become 0, 1, 2, 3 … .
 */
export class VarintWriter {
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  unsigned(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, 'a count, a length or a distance is encoded');
    this.#reserve(BYTES_MAX);
    let rest = value;
    while (rest > INT32_MAX) {
      this.#buffer[this.#length++] = (rest % SEVEN_BITS) | SEVEN_BITS;
      rest = Math.floor(rest / SEVEN_BITS);
    }
    for (; rest >= SEVEN_BITS; rest >>>= 7) this.#buffer[this.#length++] = (rest & 127) | SEVEN_BITS;
    this.#buffer[this.#length++] = rest;
    return this;
  }

  signed(value: number): this {
    return this.unsigned(value < 0 ? -value * 2 - 1 : value * 2);
  }

  text(value: string): this {
    const bytes = Buffer.from(value, 'utf8');
    this.unsigned(bytes.length).#reserve(bytes.length);
    bytes.copy(this.#buffer, this.#length);
    this.#length += bytes.length;
    return this;
  }

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#length + bytes, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

/** Reads what `VarintWriter` wrote. Errors: BYTES_TRUNCATED. */
export class VarintReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  unsigned(): number {
    let value = 0;
    for (let factor = 1, count = 0; count < BYTES_MAX; factor *= SEVEN_BITS, count++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value += (byte % SEVEN_BITS) * factor;
      if (byte < SEVEN_BITS) return value;
    }
    throw truncated();
  }

  signed(): number {
    const folded = this.unsigned();
    return folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
  }

  /** Calls `read` so many times; a count beyond what can follow takes no memory. */
  list<Value>(read: () => Value): Value[] {
    const count = this.unsigned();
    if (count > this.#bytes.length - this.#at) throw truncated();
    return Array.from({ length: count }, read);
  }

  text(): string {
    const length = this.unsigned();
    if (length > this.#bytes.length - this.#at) throw truncated();
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }
}

function truncated(): HoldfastError {
  return new HoldfastError('BYTES_TRUNCATED', 'encoded value ends too early');
}
