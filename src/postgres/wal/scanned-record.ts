import { type BlockVisitor, visitBlocksOf } from './block-references.ts';
import { findMainData, type WalRecord } from './record.ts';

/** The one record object of a scanner. Its fields are read from the bytes when they are asked for. */
export class ScannedRecord implements WalRecord {
  readonly #base: bigint;
  #buffer: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  offset = 0;
  endOffset = 0;
  span = 0;
  timeline = 0;
  major: number | undefined;

  constructor(base: bigint) {
    this.#base = base;
  }

  set(buffer: Buffer, from: number, to: number, offset: number, timeline: number): void {
    this.#buffer = buffer;
    this.#from = from;
    this.#to = to;
    this.offset = offset;
    this.timeline = timeline;
  }

  get lsn(): bigint {
    return this.#base + BigInt(this.offset);
  }

  get endLsn(): bigint {
    return this.#base + BigInt(this.endOffset);
  }

  get previousLsn(): bigint {
    return this.#buffer.readBigUInt64LE(this.#from + 8);
  }

  get xid(): number {
    return this.#buffer.readUInt32LE(this.#from + 4);
  }

  get info(): number {
    return this.#buffer[this.#from + 16] as number;
  }

  get resourceManager(): number {
    return this.#buffer[this.#from + 17] as number;
  }

  get totalLength(): number {
    return this.#to - this.#from;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(this.#from, this.#to);
  }

  mainData(): Buffer {
    return findMainData(this.bytes, this.major);
  }

  visitBlocks(visitor: BlockVisitor): void {
    visitBlocksOf(this.#buffer, this.#from, this.#to, this.major, visitor);
  }
}
