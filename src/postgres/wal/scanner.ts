import { assert, HoldfastError } from '../../lib/index.ts';
import { formatLsn } from '../lsn.ts';
import { checkSegmentSize } from '../segment-name.ts';
import { crc32c } from './crc32c.ts';
import { whyNotNextPage } from './page-check.ts';
import {
  pageHeaderLength,
  parseWalPageHeader,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER_BYTES,
  WAL_PAGE_HEADER_LONG_BYTES,
  type WalPageHeader,
  walMajorOf,
} from './page-header.ts';
import {
  CRC_OFFSET,
  INFO_MASK,
  INFO_OVERWRITE,
  INFO_SWITCH,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  RESOURCE_MANAGER_BUILT_IN_MAX,
  RESOURCE_MANAGER_CUSTOM_MIN,
  ResourceManager,
  type WalRecord,
} from './record.ts';
import { RecordRun } from './record-run.ts';
import { ScannedRecord } from './scanned-record.ts';
import type { WalStop, WalStopReason } from './wal-stop.ts';

export interface WalScannerOptions {
  /** Bytes of a WAL segment. */
  readonly segmentSize: number;
  /**
   * Where the first byte that will be pushed lies. At the beginning of a page, the rest of a record begun before is passed
   * over; anywhere else a record must begin there.
   */
  readonly startLsn: bigint;
  /** The timeline that is read: pages of later ones end the scan. Not checked when not given. */
  readonly timeline?: number;
  /** The cluster that is read, as a decimal number. Not checked when not given. */
  readonly systemId?: string;
  /** What a scan up to `startLsn`, the beginning of a page, had of a record that goes on there: it is then read, not passed over. */
  readonly carried?: UnfinishedRecord;
}

/** A record of which only the beginning was there. */
export interface UnfinishedRecord {
  readonly lsn: bigint;
  /** Without page headers; eight bytes at least. */
  readonly bytes: Buffer;
}

const UINT32 = 0x100000000;
const NOT_KNOWN = -1;
/** Records begin at multiples of this. */
const ALIGNMENT = 8;
/** A record begins with its length, which is never cut by the end of a page. */
const LENGTH_BYTES = 4;
const SCRATCH_BYTES_INITIAL = 16 * 1024;

/**
 * Reads WAL records, checked as the server's own recovery checks them, from bytes that are pushed in pieces of any size.
 *
 *   push(piece) → next() → record … next() → null → push(piece) … end() → why it stopped
 *
 * `next` gives null when it needs more input or when the scan has stopped (`stopped` tells). It must be called until then
 * before more is pushed. A record that lies within a page and a piece is a view of it; others are put together in a buffer
 * that is used again. There is one record object, changed by each `next`.
 *
 * Positions are numbers counted from a base, as a `bigint` for each record would cost more than reading it.
 */
export class WalScanner {
  readonly #segmentSize: number;
  readonly #timeline: number | undefined;
  readonly #systemId: string | undefined;
  /** All offsets below count from here: the start, rounded down to 4 GiB, so that the halves of an LSN come easily from them. */
  readonly #base: bigint;
  readonly #record: ScannedRecord;

  #input: Buffer = Buffer.alloc(0);
  #inputAt = 0;
  /** The offset of the next byte of input, and that of the end of the page in which it lies: equal where a page header is due. */
  #at: number;
  #pageEnd: number;
  #validEnd: number;
  #stop: WalStop | null = null;

  #magic: number | undefined;
  #pageTimeline = 0;
  #isFirstPage: boolean;
  #hasBegunInside = false;
  readonly #pageHeader = Buffer.alloc(WAL_PAGE_HEADER_LONG_BYTES);
  #pageHeaderHave = 0;

  /** Bytes to pass over on this page: padding. */
  #padding = 0;
  /** Bytes of a record begun before the start that are still to be passed over, page headers not counted. */
  #foreign = 0;
  /** Everything before this offset is passed over, page headers too: the rest of a segment behind a switch. */
  #resumeAt = 0;

  /** Where the record before begins, which the next one must name. */
  #previous = NOT_KNOWN;
  #start = 0;
  #startTimeline = 0;
  /** A record that is not in one piece: what is there of it, and its total length (0 while not known). */
  #scratch = Buffer.allocUnsafe(SCRATCH_BYTES_INITIAL);
  #have = 0;
  #total = 0;
  /** The start of a record that was broken off by a crash, in whose place the next record stands. */
  #overwritten = NOT_KNOWN;

  /** Records that were found whole together, with where the first of them begins in the input and in the WAL. */
  readonly #run = new RecordRun();
  #runInputAt = 0;
  #runAt = 0;

  constructor(options: WalScannerOptions) {
    checkSegmentSize(options.segmentSize);
    this.#segmentSize = options.segmentSize;
    this.#timeline = options.timeline;
    this.#systemId = options.systemId;
    const { carried } = options;
    this.#base = ((carried?.lsn ?? options.startLsn) >> 32n) << 32n;
    this.#at = Number(options.startLsn - this.#base);
    this.#validEnd = this.#at;
    const inPage = this.#at % WAL_PAGE_BYTES;
    if (inPage % ALIGNMENT !== 0 || (inPage > 0 && inPage < WAL_PAGE_HEADER_BYTES)) {
      throw new HoldfastError('PG_WAL_START_INVALID', `cannot read WAL from ${formatLsn(options.startLsn)} on`, {
        detail: 'Expected the beginning of a page or of a record.',
      });
    }
    this.#isFirstPage = inPage === 0;
    this.#pageEnd = this.#isFirstPage ? this.#at : this.#at - inPage + WAL_PAGE_BYTES;
    this.#record = new ScannedRecord(this.#base);
    if (carried !== undefined) this.#goOnWith(carried);
  }

  /** Null while the scan can go on. */
  get stopped(): WalStop | null {
    return this.#stop;
  }

  /** All WAL before this is whole; the next record begins here or, when a page ends here, behind the next page's header. */
  get validEndLsn(): bigint {
    return this.#lsn(this.#validEnd);
  }

  /** The record of which the input so far has only the beginning, good until more is pushed; null between two records. */
  get unfinished(): UnfinishedRecord | null {
    if (this.#have === 0) return null;
    return { lsn: this.#lsn(this.#start), bytes: this.#scratch.subarray(0, this.#have) };
  }

  /** An LSN counted from where this scanner counts from: far enough back that no record begins before. */
  offsetOf(lsn: bigint): number {
    return Number(lsn - this.#base);
  }

  /** The major version by the magic of the page that was read last; undefined before the first. */
  get major(): number | undefined {
    return this.#record.major;
  }

  /** True when the scan began inside a record of which the beginning was not given, so that it is not among those told. */
  get hasBegunInside(): boolean {
    return this.#hasBegunInside;
  }

  /** True while what is read is the rest of a record that began before the start. */
  get isInsideForeign(): boolean {
    return this.#foreign > 0;
  }

  /** Gives more WAL, which goes on where the last piece ended. The piece must stay as it is until `next` gives null. */
  push(piece: Uint8Array): void {
    assert(this.#inputAt === this.#input.length || this.#stop !== null, 'all WAL was read before more is pushed');
    this.#input = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.#inputAt = 0;
  }

  /** The next whole record, or null. */
  next(): WalRecord | null {
    if (this.#run.left > 0) return this.#nextOfRun();
    while (this.#stop === null) {
      if (this.#at < this.#resumeAt) {
        this.#take(this.#resumeAt - this.#at);
        if (this.#at < this.#resumeAt) return null;
        this.#pageEnd = this.#at;
      }
      if (this.#at === this.#pageEnd) {
        if (!this.#readPageHeader()) return null;
        continue;
      }
      if (this.#inputAt === this.#input.length) return null;
      if (this.#padding > 0) {
        this.#padding -= this.#take(this.#padding);
        continue;
      }
      if (this.#foreign > 0) {
        this.#foreign -= this.#take(Math.min(this.#foreign, this.#pageEnd - this.#at));
        if (this.#foreign === 0) this.#endRecord();
        continue;
      }
      if (this.#have === 0 && this.#beginRun()) return this.#nextOfRun();
      if (this.#have > 0 || !this.#isInOnePiece()) {
        if (this.#gather()) return this.#accept(this.#scratch, 0);
        continue;
      }
      const from = this.#inputAt;
      this.#start = this.#at;
      this.#startTimeline = this.#pageTimeline;
      if (!this.#checkRecordHeader(this.#input, from)) return null;
      this.#take(this.#input.readUInt32LE(from));
      return this.#accept(this.#input, from);
    }
    return null;
  }

  /** Says that nothing follows. Gives where and why the scan stopped. */
  end(): WalStop {
    if (this.#stop !== null) return this.#stop;
    assert(this.#inputAt === this.#input.length, 'all WAL was read before the end');
    if (this.#have > 0) {
      const whole = this.#total > 0 ? ` of ${this.#total}` : '';
      return this.#stopAt(
        'incomplete-record',
        this.#start,
        `The input ended with ${this.#have}${whole} bytes of a record.`,
      );
    }
    if (this.#foreign > 0) {
      return this.#stopAt('incomplete-record', this.#validEnd, 'The input ended inside a record that began before it.');
    }
    return this.#stopAt('input-ended', this.#validEnd, 'The input ended between two records.');
  }

  #goOnWith({ lsn, bytes }: UnfinishedRecord): void {
    assert(this.#isFirstPage && bytes.length >= ALIGNMENT, 'a record goes on at the beginning of a page');
    this.#growScratch(bytes.length);
    bytes.copy(this.#scratch);
    this.#start = Number(lsn - this.#base);
    this.#have = bytes.length;
    this.#total = bytes.readUInt32LE(0);
  }

  /** Passes over at most `bytes` of the input and tells how many there were. */
  #take(bytes: number): number {
    const taken = Math.min(bytes, this.#input.length - this.#inputAt);
    this.#inputAt += taken;
    this.#at += taken;
    return taken;
  }

  /** Reads the header of the page that begins here; false when more input is needed or the scan has stopped. */
  #readPageHeader(): boolean {
    const header = this.#gatherPageHeader();
    if (header === null) return false;
    const why = whyNotNextPage(header, {
      lsn: this.#lsn(this.#at),
      segmentSize: this.#segmentSize,
      magic: this.#magic,
      timelineMin: this.#pageTimeline,
      timelineMax: this.#timeline,
      systemId: this.#systemId,
    });
    if (why !== null) {
      this.#stopAt(header.magic === 0 ? 'no-record' : 'invalid-page', this.#at, why);
      return false;
    }
    if (!this.#checkContinuation(header)) return false;
    this.#magic = header.magic;
    this.#record.major = walMajorOf(header.magic);
    this.#pageTimeline = header.timeline;
    this.#isFirstPage = false;
    this.#at += this.#pageHeaderHave;
    this.#pageHeaderHave = 0;
    this.#pageEnd += WAL_PAGE_BYTES;
    return true;
  }

  /** The header's bytes are taken from the input, but `#at` stays at the beginning of the page until they are all there. */
  #gatherPageHeader(): WalPageHeader | null {
    this.#gatherHeaderBytes(WAL_PAGE_HEADER_BYTES);
    if (this.#pageHeaderHave < WAL_PAGE_HEADER_BYTES) return null;
    const length = pageHeaderLength(this.#pageHeader);
    this.#gatherHeaderBytes(length);
    return this.#pageHeaderHave < length ? null : parseWalPageHeader(this.#pageHeader);
  }

  #gatherHeaderBytes(wanted: number): void {
    const missing = Math.max(0, wanted - this.#pageHeaderHave);
    const to = Math.min(this.#input.length, this.#inputAt + missing);
    this.#input.copy(this.#pageHeader, this.#pageHeaderHave, this.#inputAt, to);
    this.#pageHeaderHave += to - this.#inputAt;
    this.#inputAt = to;
  }

  /** Holds what the page says of a record that goes on in it against what we know of one. */
  #checkContinuation(header: WalPageHeader): boolean {
    if (header.overwritesContinuation) {
      // The server crashed in the middle of a record; it marked this page so that nobody waits for the rest.
      if (this.#have > 0) this.#overwritten = this.#start;
      this.#have = 0;
      this.#total = 0;
      this.#foreign = 0;
      return true;
    }
    const awaited = this.#have > 0 ? this.#total - this.#have : this.#foreign;
    const found = header.isContinuation ? header.remainingBytes : 0;
    if (this.#isFirstPage && this.#have === 0) {
      this.#foreign = found;
      this.#hasBegunInside = found > 0;
    } else if (found !== awaited) {
      const detail = `Expected ${awaited} more bytes of a record at the beginning of the page, found ${found}.`;
      this.#stopAt('missing-continuation', this.#have > 0 ? this.#start : this.#at, detail);
      return false;
    }
    return true;
  }

  /**
   * Checks all records at once that lie whole on this page and in this piece of input. False when there is none: what stands there is then looked
   * at by itself, as is a record that ends the segment, and the one that must say something of the record before it.
   */
  #beginRun(): boolean {
    if (this.#previous === NOT_KNOWN || this.#overwritten !== NOT_KNOWN) return false;
    const length = Math.min(this.#pageEnd - this.#at, this.#input.length - this.#inputAt);
    const previous = this.#lsn(this.#previous);
    this.#runInputAt = this.#inputAt;
    this.#runAt = this.#at;
    return this.#run.find(this.#input, { from: this.#inputAt, length, lsn: this.#lsn(this.#at), previous });
  }

  #nextOfRun(): WalRecord {
    const run = this.#run;
    const offset = run.take();
    const { length } = run;
    const from = this.#runInputAt + offset;
    const start = this.#runAt + offset;
    const padding = (ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT;
    this.#at = start + length + padding;
    this.#inputAt = from + length + padding;
    this.#validEnd = this.#at;
    this.#previous = start;
    const record = this.#record;
    record.set(this.#input, from, from + length, start, this.#pageTimeline);
    record.span = length;
    record.endOffset = this.#at;
    return record;
  }

  /** True when the whole record lies on this page and in this piece of input. */
  #isInOnePiece(): boolean {
    const left = Math.min(this.#pageEnd - this.#at, this.#input.length - this.#inputAt);
    return left >= RECORD_HEADER_BYTES && this.#input.readUInt32LE(this.#inputAt) <= left;
  }

  /** Adds to the scratch buffer what this page and this piece have of a record; true when it is whole. */
  #gather(): boolean {
    if (this.#have === 0) {
      this.#start = this.#at;
      this.#startTimeline = this.#pageTimeline;
      this.#total = 0;
    }
    const wanted = this.#have < LENGTH_BYTES ? LENGTH_BYTES : Math.max(this.#total, RECORD_HEADER_BYTES);
    const isHeader = this.#have < RECORD_HEADER_BYTES;
    const goal = isHeader ? Math.min(wanted, RECORD_HEADER_BYTES) : wanted;
    const from = this.#inputAt;
    const taken = this.#take(Math.min(goal - this.#have, this.#pageEnd - this.#at));
    this.#growScratch(this.#have + taken);
    this.#input.copy(this.#scratch, this.#have, from, from + taken);
    this.#have += taken;
    if (this.#have < goal) return false;
    if (goal === LENGTH_BYTES) {
      this.#total = this.#scratch.readUInt32LE(0);
      this.#checkRecordLength(this.#total);
      return false;
    }
    if (isHeader && !this.#checkRecordHeader(this.#scratch, 0)) return false;
    return this.#have === this.#total;
  }

  #growScratch(bytes: number): void {
    if (bytes <= this.#scratch.length) return;
    const grown = Buffer.allocUnsafe(Math.max(bytes, this.#scratch.length * 2));
    this.#scratch.copy(grown, 0, 0, this.#have);
    this.#scratch = grown;
  }

  #checkRecordLength(total: number): boolean {
    if (total >= RECORD_HEADER_BYTES && total <= RECORD_BYTES_MAX) return true;
    if (total === 0) this.#stopAt('no-record', this.#start, 'Zeros stand where a record would begin.');
    else this.#stopAt('invalid-record', this.#start, `The length ${total} is that of no record.`);
    return false;
  }

  /** Source: PostgreSQL, xlogreader.c, ValidXLogRecordHeader. */
  #checkRecordHeader(bytes: Buffer, at: number): boolean {
    if (!this.#checkRecordLength(bytes.readUInt32LE(at))) return false;
    const manager = bytes[at + 17] as number;
    if (manager > RESOURCE_MANAGER_BUILT_IN_MAX && manager < RESOURCE_MANAGER_CUSTOM_MIN) {
      this.#stopAt('invalid-record', this.#start, `The resource manager ${manager} is not recognized.`);
      return false;
    }
    const low = bytes.readUInt32LE(at + 8);
    const high = bytes.readUInt32LE(at + 12);
    const isLinked =
      this.#previous === NOT_KNOWN
        ? (BigInt(high) << 32n) + BigInt(low) < this.#lsn(this.#start)
        : low === this.#previous % UINT32 && high === Number(this.#base >> 32n) + Math.floor(this.#previous / UINT32);
    if (isLinked) return true;
    const found = formatLsn((BigInt(high) << 32n) + BigInt(low));
    const expected = this.#previous === NOT_KNOWN ? 'an earlier one' : formatLsn(this.#lsn(this.#previous));
    this.#stopAt('invalid-record', this.#start, `Expected the record before to be ${expected}, found ${found}.`);
    return false;
  }

  /** Checks the CRC of a record that is all there and makes it the current one. */
  #accept(bytes: Buffer, from: number): WalRecord | null {
    const total = bytes.readUInt32LE(from);
    const to = from + total;
    const stated = bytes.readUInt32LE(from + CRC_OFFSET);
    if (crc32c(bytes, from, from + CRC_OFFSET, crc32c(bytes, from + RECORD_HEADER_BYTES, to)) !== stated) {
      this.#stopAt('wrong-checksum', this.#start, `The record of ${total} bytes does not match its CRC.`);
      return null;
    }
    const record = this.#record;
    record.set(bytes, from, to, this.#start, this.#startTimeline);
    record.span = this.#at - this.#start;
    if (!this.#checkOverwritten(record)) return null;
    this.#previous = this.#start;
    this.#have = 0;
    this.#total = 0;
    this.#endRecord();
    if (record.resourceManager === ResourceManager.xlog && (record.info & INFO_MASK) === INFO_SWITCH) {
      const distance = Number(this.#lsn(this.#validEnd) % BigInt(this.#segmentSize));
      if (distance > 0) this.#validEnd += this.#segmentSize - distance;
      this.#resumeAt = this.#validEnd;
      this.#padding = 0;
    }
    record.endOffset = this.#validEnd;
    return record;
  }

  /** Behind a record: the next one begins at a multiple of eight bytes. */
  #endRecord(): void {
    this.#padding = (ALIGNMENT - (this.#at % ALIGNMENT)) % ALIGNMENT;
    this.#validEnd = this.#at + this.#padding;
  }

  /** In the place of a record that was broken off stands one that names it. */
  #checkOverwritten(record: ScannedRecord): boolean {
    if (this.#overwritten === NOT_KNOWN) return true;
    const start = this.#overwritten;
    this.#overwritten = NOT_KNOWN;
    const isMark = record.resourceManager === ResourceManager.xlog && (record.info & INFO_MASK) === INFO_OVERWRITE;
    if (isMark && record.mainData().readBigUInt64LE(0) === this.#lsn(start)) return true;
    this.#stopAt(
      'invalid-record',
      this.#start,
      `Expected a note on the broken record at ${formatLsn(this.#lsn(start))}.`,
    );
    return false;
  }

  #lsn(offset: number): bigint {
    return this.#base + BigInt(offset);
  }

  #stopAt(reason: WalStopReason, offset: number, detail: string): WalStop {
    this.#stop = { reason, lsn: this.#lsn(offset), validEndLsn: this.validEndLsn, detail };
    return this.#stop;
  }
}
