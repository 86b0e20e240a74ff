import { codeOf } from '../../../lib/index.ts';
import type { WalRecord, WalScanner } from '../../../postgres/index.ts';
import { isLandmarkManager, landmarkOf, type WalLandmark } from '../landmark.ts';
import type { SegmentBlock, SegmentTail } from './block.ts';

/** A record of so many bytes is kept in part; a longer one would make the index as long as the WAL. It is then read from the WAL. */
const TAIL_BYTES_MAX = 256 * 1024;

const RECORD_HEADER_BYTES = 24;
const RESOURCE_MANAGER_AT = 17;

/** A block of which nobody has said yet on which timeline its segment lies. */
export type UnplacedBlock = Omit<SegmentBlock, 'timeline'>;

/** Gathers the landmarks of segment after segment from a scan that somebody else makes. */
export class LandmarkCollector {
  readonly #segmentBytes: bigint;
  readonly #scanner: WalScanner;
  /** The record in whose middle the scan began; it lies before all that is told. */
  #foreign: SegmentTail | null;
  #landmarks: WalLandmark[] = [];
  #segmentStart: bigint;
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
    this.#nextXid = before?.nextXid ?? null;
    this.#foreign = before === null || before.tail.kind === 'none' ? { kind: 'dropped', lsn: 0n } : before.tail;
  }

  /** Takes the next record of the scan. */
  see(record: WalRecord): void {
    if (this.#firstRecordLsn === null && record.lsn >= this.#segmentStart) this.#firstRecordLsn = record.lsn;
    if (!isLandmarkManager(record.resourceManager)) return;
    const landmark = this.#read(record);
    if (landmark === null) return;
    this.#landmarks.push(landmark);
    if (landmark.kind === 'event' && landmark.event.kind === 'checkpoint') this.#nextXid = landmark.event.nextXid;
  }

  /**
   * The block of the segment that has just been read to its end; the next record is of the one behind it. Null when a record of it has a form
   * that is not known: nobody shall take an index for whole that is not.
   */
  finishSegment(): UnplacedBlock | null {
    const foreign = this.#scanner.hasBegunInside ? this.#foreign : null;
    const tail = this.#tail(foreign);
    if (this.#firstRecordLsn === null && tail.kind !== 'none' && tail.lsn >= this.#segmentStart) {
      this.#firstRecordLsn = tail.lsn;
    }
    const block: UnplacedBlock = {
      number: this.#segmentStart / this.#segmentBytes,
      firstRecordLsn: this.#firstRecordLsn,
      isHeadKnown: foreign === null || foreign.kind === 'indifferent',
      tail,
      nextXid: this.#nextXid,
      landmarks: this.#landmarks,
    };
    const isReadable = this.#isReadable;
    if (!this.#scanner.isInsideForeign) this.#foreign = null;
    this.#isReadable = true;
    this.#landmarks = [];
    this.#firstRecordLsn = null;
    this.#segmentStart += this.#segmentBytes;
    return isReadable ? block : null;
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

  #read(record: WalRecord): WalLandmark | null {
    try {
      return landmarkOf(record);
    } catch (error) {
      if (codeOf(error) !== 'PG_WAL_RECORD_INVALID') throw error;
      // The record's CRC is right, so that the WAL is sound; whoever reads it later says what is the matter.
      this.#isReadable = false;
      return null;
    }
  }
}

function lsnOf(tail: SegmentTail | null): bigint {
  return tail === null || tail.kind === 'none' ? 0n : tail.lsn;
}
