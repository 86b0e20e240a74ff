import { HoldfastError } from '../../lib/index.ts';

/**
 * Reads the fields of one message's payload, big-endian as PostgreSQL sends them.
 *
 * Errors: PG_MESSAGE_TRUNCATED when a field runs past the end of the payload.
 */
export class PayloadReader {
  readonly #payload: Buffer;
  readonly #what: string;
  #at = 0;

  /** `what` names the message for errors, for example "RowDescription". */
  constructor(payload: Buffer, what: string) {
    this.#payload = payload;
    this.#what = what;
  }

  get remaining(): number {
    return this.#payload.length - this.#at;
  }

  #take(bytes: number): number {
    if (bytes < 0 || bytes > this.remaining) {
      throw new HoldfastError('PG_MESSAGE_TRUNCATED', `message "${this.#what}" ends too early`, {
        detail: `Expected ${bytes} more bytes at offset ${this.#at}, found ${this.remaining}.`,
      });
    }
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  uint8(): number {
    return this.#payload.readUInt8(this.#take(1));
  }

  int16(): number {
    return this.#payload.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#payload.readInt32BE(this.#take(4));
  }

  uint32(): number {
    return this.#payload.readUInt32BE(this.#take(4));
  }

  int64(): bigint {
    return this.#payload.readBigInt64BE(this.#take(8));
  }

  uint64(): bigint {
    return this.#payload.readBigUInt64BE(this.#take(8));
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#payload.subarray(at, at + length);
  }

  /** All that is left, as a view. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  /** UTF-8 up to a zero byte, which is consumed and not returned. */
  text(): string {
    const end = this.#payload.indexOf(0, this.#at);
    const value = this.bytes(end < 0 ? this.remaining + 1 : end - this.#at).toString('utf8');
    this.#at += 1;
    return value;
  }
}
