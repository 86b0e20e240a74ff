import { codeOf } from '../../../lib/index.ts';
import { ResourceManager, type WalRecord, type WalScanner } from '../../../postgres/index.ts';
import { isLandmarkManager, landmarkOf } from '../landmark.ts';
import type { EncodedBlock, SegmentBlock, SegmentTail } from './block.ts';
import { LandmarkColumns } from './landmark-columns.ts';
import { type LandmarkSummary, SummaryBuilder } from './summary.ts';

/** A record of so many bytes is kept in part; a longer one would make the index as long as the WAL. It is then read from the WAL. */
const TAIL_BYTES_MAX = 256 * 1024;

const RECORD_HEADER_BYTES = 24;
const RESOURCE_MANAGER_AT = 17;

/** A block of which nobody has said yet on which timeline its segment lies, with its summary. */
export type CollectedBlock = Omit<EncodedBlock, 'timeline'> & { readonly summary: LandmarkSummary };

/** `info` of a commit and of an abort that have nothing but their time. */
const PLAIN_COMMIT = 0x00;
const PLAIN_ABORT = 0x20;
/** Such a record: its header, the mark and the length of its data, and eight bytes of time. */
const PLAIN_END_BYTES = 34;
const SHORT_DATA = 255;
const TIME_AT = 26;
const UINT32 = 0x1_0000_0000;

/** Gathers the landmarks of segment after segment from a scan that somebody else makes. */
export class LandmarkCollector {
  readonly #segmentBytes: bigint;
  readonly #scanner: WalScanner;
  /** The record in whose middle the scan began; it lies before all that is told. */
  #foreign: SegmentTail | null;
  #columns: LandmarkColumns;
  #summary = new SummaryBuilder();
  #segmentStart: bigint;
  /** The same as the scanner counts. */
  #startOffset: number;
  #firstRecordLsn: bigint | null = null;
  #nextXid: bigint | null;
  #isReadable = true;

  /**
   * `scanner` is at the start of the segment. `before` is the block of the segment before it: of a record that it kept in part the scanner was
   * given the beginning.
   */
  constructor(scanner: WalScanner, place: { segmentBytes: number; number: bigint; before: SegmentBlock | null }) {
    const { before } = place;
    this.#scanner = scanner;
    this.#segmentBytes = BigInt(place.segmentBytes);
    this.#segmentStart = place.number * this.#segmentBytes;
    this.#columns = new LandmarkColumns(this.#segmentStart);
    this.#startOffset = scanner.offsetOf(this.#segmentStart);
    this.#nextXid = before?.nextXid ?? null;
    this.#foreign = before === null || before.tail.kind === 'none' ? { kind: 'dropped', lsn: 0n } : before.tail;
  }

  /** Takes the next record of the scan. */
  see(record: WalRecord): void {
    if (this.#firstRecordLsn === null && record.offset >= this.#startOffset) this.#firstRecordLsn = record.lsn;
    const manager = record.resourceManager;
    if (!isLandmarkManager(manager) || (manager === ResourceManager.transaction && this.#addPlainEnd(record))) return;
    try {
      const landmark = landmarkOf(record);
      if (landmark === null) return;
      this.#columns.add(landmark);
      this.#summary.add(landmark);
      if (landmark.kind === 'event' && landmark.event.kind === 'checkpoint') this.#nextXid = landmark.event.nextXid;
    } catch (error) {
      if (codeOf(error) !== 'PG_WAL_RECORD_INVALID') throw error;
      // The record's CRC is right, so that the WAL is sound; whoever reads it later says what is the matter.
      this.#isReadable = false;
    }
  }

  /** Most ends of transactions are a time and nothing else; a busy server writes tens of thousands of them into each segment. */
  #addPlainEnd(record: WalRecord): boolean {
    const { info, totalLength } = record;
    if ((info !== PLAIN_COMMIT && info !== PLAIN_ABORT) || totalLength !== PLAIN_END_BYTES) return false;
    const { bytes } = record;
    if (bytes[TIME_AT - 2] !== SHORT_DATA) return false;
    const time = bytes.readInt32LE(TIME_AT + 4) * UINT32 + bytes.readUInt32LE(TIME_AT);
    if (!Number.isSafeInteger(time)) return false;
    const outcome = info === PLAIN_COMMIT ? 'commit' : 'abort';
    const place = { distance: record.offset - this.#startOffset, span: record.span };
    this.#columns.addPlainEnd(outcome, place, record.xid, time);
    this.#summary.addEnd(outcome, record.xid, time);
    return true;
  }

  /**
   * The block of the segment that has just been read to its end; the next record is of the one behind it. Null when a record of it has a form
   * that is not known: nobody shall take an index for whole that is not.
   */
  finishSegment(): CollectedBlock | null {
    const foreign = this.#scanner.hasBegunInside ? this.#foreign : null;
    const tail = this.#tail(foreign);
    if (this.#firstRecordLsn === null && tail.kind !== 'none' && tail.lsn >= this.#segmentStart) {
      this.#firstRecordLsn = tail.lsn;
    }
    const block = {
      number: this.#segmentStart / this.#segmentBytes,
      firstRecordLsn: this.#firstRecordLsn,
      isHeadKnown: foreign === null || foreign.kind === 'indifferent',
      tail,
      nextXid: this.#nextXid,
    };
    const summary = this.#summary.finish(block);
    const columns = this.#isReadable ? this.#columns.finish() : null;
    if (!this.#scanner.isInsideForeign) this.#foreign = null;
    this.#isReadable = true;
    this.#firstRecordLsn = null;
    this.#segmentStart += this.#segmentBytes;
    this.#startOffset += Number(this.#segmentBytes);
    this.#columns = new LandmarkColumns(this.#segmentStart);
    this.#summary = new SummaryBuilder();
    return columns === null ? null : { ...block, columns, summary };
  }

  #tail(foreign: SegmentTail | null): SegmentTail {
    const { unfinished, isInsideForeign } = this.#scanner;
    if (isInsideForeign) return foreign?.kind === 'indifferent' ? foreign : { kind: 'dropped', lsn: lsnOf(foreign) };
    if (unfinished === null) return { kind: 'none' };
    const { lsn, bytes } = unfinished;
    if (bytes.length >= RECORD_HEADER_BYTES && !isLandmarkManager(bytes[RESOURCE_MANAGER_AT]!)) {
      return { kind: 'indifferent', lsn };
    }
    return bytes.length <= TAIL_BYTES_MAX ? { kind: 'kept', lsn, bytes: Buffer.from(bytes) } : { kind: 'dropped', lsn };
  }
}

function lsnOf(tail: SegmentTail | null): bigint {
  return tail === null || tail.kind === 'none' ? 0n : tail.lsn;
}
