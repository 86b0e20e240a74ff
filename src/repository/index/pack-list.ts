import { assert } from '../../lib/index.ts';
import { decodePackContent, encodePackContent, type PackContent } from '../pack/index.ts';

/** What is known of a pack beside its chunks. */
export interface PackInfo {
  packId: Buffer;
  content: PackContent;
  epoch: number;
  /** Under a damage record or a tombstone. */
  doubtful: boolean;
  /** Offset behind its last chunk, where the directory begins. */
  chunksEnd: number;
}

const ROW_BYTES = 44;
/** What a Map of short strings costs for each entry in V8, as measured; the test of the index's memory counts it in. */
const NUMBER_BYTES = 100;

/** Every pack that the index names, numbered from zero: 44 bytes each, and a way back from id to number. */
export class PackList {
  readonly #numbers = new Map<string, number>();
  #rows = Buffer.alloc(ROW_BYTES * 64);

  get count(): number {
    return this.#numbers.size;
  }

  get memoryBytes(): number {
    return this.#rows.length + this.#numbers.size * NUMBER_BYTES;
  }

  /** Gives the number of the pack, or `null` when it is in the list already. */
  add(pack: Omit<PackInfo, 'chunksEnd'>): number | null {
    const key = keyOf(pack.packId);
    if (this.#numbers.has(key)) return null;
    const number = this.#numbers.size;
    this.#numbers.set(key, number);
    this.#reserve((number + 1) * ROW_BYTES);
    const at = number * ROW_BYTES;
    this.#rows.set(pack.packId, at);
    this.#rows.writeUInt32LE(pack.epoch, at + 32);
    this.#rows.writeUInt8(encodePackContent(pack.content), at + 36);
    this.#rows.writeUInt8(pack.doubtful ? 1 : 0, at + 37);
    return number;
  }

  noteChunksEnd(number: number, offset: number): void {
    this.#rows.writeUInt32LE(offset, number * ROW_BYTES + 40);
  }

  numberOf(packId: Uint8Array): number | undefined {
    return this.#numbers.get(keyOf(packId));
  }

  at(number: number): PackInfo {
    assert(number < this.#numbers.size, 'a pack that is in the list');
    const at = number * ROW_BYTES;
    const content = decodePackContent(this.#rows.readUInt8(at + 36));
    assert(content !== null, 'a pack in the list has a content');
    return {
      packId: Buffer.from(this.#rows.subarray(at, at + 32)),
      content,
      epoch: this.#rows.readUInt32LE(at + 32),
      doubtful: this.isDoubtful(number),
      chunksEnd: this.#rows.readUInt32LE(at + 40),
    };
  }

  isDoubtful(number: number): boolean {
    return this.#rows.readUInt8(number * ROW_BYTES + 37) === 1;
  }

  markDoubtful(number: number): void {
    this.#rows.writeUInt8(1, number * ROW_BYTES + 37);
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#rows.length) return;
    const grown = Buffer.alloc(Math.ceil(this.#rows.length * 1.25));
    grown.set(this.#rows, 0);
    this.#rows = grown;
  }
}

function keyOf(packId: Uint8Array): string {
  return Buffer.from(packId.buffer, packId.byteOffset, packId.length).toString('latin1');
}
