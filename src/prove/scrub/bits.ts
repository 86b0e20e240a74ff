/** A bit for each number from zero on: what is kept of each chunk or pack costs an eighth of a byte. */
export class Bits {
  readonly #bytes: Uint8Array;

  constructor(count: number) {
    this.#bytes = new Uint8Array(Math.ceil(count / 8));
  }

  has(number: number): boolean {
    return (this.#bytes[number >> 3]! & (1 << (number & 7))) !== 0;
  }

  /** Sets the bit; gives whether it was set already. */
  add(number: number): boolean {
    const was = this.has(number);
    this.#bytes[number >> 3]! |= 1 << (number & 7);
    return was;
  }
}
