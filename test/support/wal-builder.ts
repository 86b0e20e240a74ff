import { crc32c } from '@node-rs/crc32';

/** What a made record holds. */
export interface RecordParts {
  readonly resourceManager: number;
  readonly info: number;
  readonly xid?: number;
  readonly mainData?: Uint8Array;
}

/** Where a made record lies. */
export interface MadeRecord extends RecordParts {
  readonly lsn: bigint;
  readonly endLsn: bigint;
  readonly totalLength: number;
}

const PAGE = 8192;
const CONTINUATION = 1;
const LONG = 2;
export const OVERWRITE_CONTINUATION = 8;

/**
 * Writes WAL as PostgreSQL lays it out: records over pages over segments, from the beginning of a segment on. Written apart
 * from the reader under test, from the description in PostgreSQL's headers.
 */
export class WalBuilder {
  readonly segmentSize: number;
  readonly startLsn: bigint;
  readonly records: MadeRecord[] = [];
  timeline: number;
  readonly #systemId: bigint;
  readonly #magic: number;
  #bytes: Buffer;
  #at = 0;
  #previous = 0n;

  constructor(
    options: { segmentSize?: number; startLsn?: bigint; timeline?: number; magic?: number; systemId?: bigint } = {},
  ) {
    this.segmentSize = options.segmentSize ?? 1024 * 1024;
    this.startLsn = options.startLsn ?? 0x1_0000_0000n;
    this.timeline = options.timeline ?? 1;
    this.#magic = options.magic ?? 0xd118;
    this.#systemId = options.systemId ?? 7n;
    this.#bytes = Buffer.alloc(this.segmentSize);
  }

  get lsn(): bigint {
    return this.startLsn + BigInt(this.#at);
  }

  /** All that was written, filled up with zeros to `length`, or to the end of the segment. */
  bytes(length = Math.ceil(this.#at / this.segmentSize) * this.segmentSize): Buffer {
    this.#reserve(length);
    return Buffer.from(this.#bytes.subarray(0, length));
  }

  /** Where writing stands, counted from the beginning. */
  get offset(): number {
    return this.#at;
  }

  append(parts: RecordParts): MadeRecord {
    this.#at = Math.ceil(this.#at / 8) * 8;
    if (this.#at % PAGE === 0) this.putPageHeader(0, 0);
    const lsn = this.lsn;
    const bytes = this.encode(parts);
    this.putRecordBytes(bytes);
    const isSwitch = parts.resourceManager === 0 && parts.info === 0x40;
    if (isSwitch) this.#at = Math.ceil(this.#at / this.segmentSize) * this.segmentSize;
    const record = {
      ...parts,
      lsn,
      endLsn: this.startLsn + BigInt(Math.ceil(this.#at / 8) * 8),
      totalLength: bytes.length,
    };
    this.records.push(record);
    return record;
  }

  /** The bytes of a record that names the one written last as the one before; it counts as written itself from now on. */
  encode({ resourceManager, info, xid = 0, mainData = Buffer.alloc(0) }: RecordParts, lsn = this.lsn): Buffer {
    const head = mainData.length === 0 ? [] : mainData.length < 256 ? [255, mainData.length] : [254, 0, 0, 0, 0];
    const bytes = Buffer.concat([Buffer.alloc(24), Buffer.from(head), mainData]);
    if (head.length === 5) bytes.writeUInt32LE(mainData.length, 25);
    bytes.writeUInt32LE(bytes.length, 0);
    bytes.writeUInt32LE(xid, 4);
    bytes.writeBigUInt64LE(this.#previous, 8);
    bytes[16] = info;
    bytes[17] = resourceManager;
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, 20), crc32c(bytes.subarray(24))), 20);
    this.#previous = lsn;
    return bytes;
  }

  /** Puts bytes of a record down, with page headers where pages begin. At most `limit` of them, to break a record off. */
  putRecordBytes(bytes: Buffer, limit = bytes.length): void {
    for (let put = 0; put < limit; ) {
      if (this.#at % PAGE === 0) this.putPageHeader(put === 0 ? 0 : CONTINUATION, bytes.length - put);
      const count = Math.min(limit - put, PAGE - (this.#at % PAGE));
      this.#put(bytes.subarray(put, put + count));
      put += count;
    }
  }

  putPageHeader(flags: number, remaining: number): void {
    const isLong = this.#at % this.segmentSize === 0;
    const header = Buffer.alloc(isLong ? 40 : 24);
    header.writeUInt16LE(this.#magic, 0);
    header.writeUInt16LE(flags | (isLong ? LONG : 0), 2);
    header.writeUInt32LE(this.timeline, 4);
    header.writeBigUInt64LE(this.lsn, 8);
    header.writeUInt32LE((flags & CONTINUATION) === 0 ? 0 : remaining, 16);
    if (isLong) {
      header.writeBigUInt64LE(this.#systemId, 24);
      header.writeUInt32LE(this.segmentSize, 32);
      header.writeUInt32LE(PAGE, 36);
    }
    this.#put(header);
  }

  /** The next record names `lsn` as the one before, as after a record that was broken off. */
  setPrevious(lsn: bigint): void {
    this.#previous = lsn;
  }

  skipToNextPage(): void {
    this.#at = Math.ceil(this.#at / PAGE) * PAGE;
  }

  #put(bytes: Uint8Array): void {
    this.#reserve(this.#at + bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.max(length, this.#bytes.length * 2));
    this.#bytes.copy(grown);
    this.#bytes = grown;
  }
}
