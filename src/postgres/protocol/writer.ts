/**
 * Builds one frontend message, big-endian, with its length filled in at the end.
 *
 * Shape: type byte (none for start-up messages) · int32 length of all that follows the type, itself included · payload.
 */
export class MessageWriter {
  #buffer: Buffer;
  #length: number;
  readonly #lengthAt: number;

  /** `type` is one character, or `null` for the three messages that begin a connection. */
  constructor(type: string | null, capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
    this.#lengthAt = type === null ? 0 : 1;
    this.#length = this.#lengthAt + 4;
    if (type !== null) this.#buffer.write(type, 0, 'latin1');
  }

  /** Makes room and gives its place. Called before `#buffer` is read, as growing puts another buffer there. */
  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }

  uint8(value: number): this {
    const at = this.#reserve(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  uint64(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  int64(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigInt64BE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  /** UTF-8 and a zero byte. The caller has made sure that there is no zero byte inside. */
  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8')).uint8(0);
  }

  finish(): Buffer {
    this.#buffer.writeInt32BE(this.#length - this.#lengthAt, this.#lengthAt);
    return this.#buffer.subarray(0, this.#length);
  }
}
