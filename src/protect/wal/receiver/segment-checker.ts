import { type UnfinishedRecord, WalScanner, type WalStop } from '../../../postgres/index.ts';
import { ChangeCollector, ChangesKeeper, type SegmentChanges } from '../changes/index.ts';
import {
  type CollectedBlock,
  carriedBy,
  LandmarkCollector,
  LandmarkKeeper,
  type SegmentBlock,
} from '../landmarks/index.ts';

/** What the scan of a segment gathered: its part of the commit index, and which blocks it changes. Null for what has a record of an unknown form. */
export interface CollectedSegment {
  readonly landmarks: CollectedBlock | null;
  readonly changes: Omit<SegmentChanges, 'timeline'> | null;
}

interface Scan {
  readonly scanner: WalScanner;
  readonly landmarks: LandmarkCollector;
  readonly changes: ChangeCollector;
}

/**
 * Checks whole segments as a recovery would read them: page headers, and the CRC of each record (rule A14). The same scan gathers the segment's
 * part of the commit index, and which blocks it changes.
 *
 * Segments that come one after another are read by one scan, so that a record that reaches over their border is checked, too. After any other
 * one a scan begins anew at the start of the segment; what the index kept of the record that goes on there is then given to it.
 */
export class SegmentChecker {
  /** Store what was gathered. */
  readonly landmarks = new LandmarkKeeper();
  readonly changes = new ChangesKeeper();
  readonly #segmentBytes: number;
  readonly #systemId: string;
  #scan: Scan | null = null;
  #next = -1n;
  #collected: CollectedSegment | null = null;

  constructor(segmentBytes: number, systemId: string) {
    this.#segmentBytes = segmentBytes;
    this.#systemId = systemId;
  }

  /** What was gathered of the segment that was found sound last; null when there is none. */
  get collected(): CollectedSegment | null {
    return this.#collected;
  }

  /** True when `check` would go on with the scan of the segment before. */
  goesOnWith(number: bigint): boolean {
    return this.#scan !== null && this.#next === number;
  }

  /** Why the segment is not sound WAL, `null` when it is. `pieces` are all its bytes; `before` is what the index has of the segment before. */
  async check(
    number: bigint,
    pieces: AsyncIterable<Buffer>,
    before: SegmentBlock | null = null,
  ): Promise<WalStop | null> {
    const scan = this.goesOnWith(number) ? this.#scan! : this.#begin(number, before);
    this.#scan = null;
    this.#collected = null;
    const { scanner, landmarks, changes } = scan;
    for await (const piece of pieces) {
      scanner.push(piece);
      for (let record = scanner.next(); record !== null; record = scanner.next()) {
        landmarks.see(record);
        changes.see(record);
      }
      if (scanner.stopped !== null) return scanner.stopped;
    }
    this.#collected = { landmarks: landmarks.finishSegment(), changes: changes.finishSegment() };
    this.#scan = scan;
    this.#next = number + 1n;
    return null;
  }

  #begin(number: bigint, before: SegmentBlock | null): Scan {
    const carried: UnfinishedRecord | null = before === null ? null : carriedBy(before);
    const scanner = new WalScanner({
      segmentSize: this.#segmentBytes,
      startLsn: number * BigInt(this.#segmentBytes),
      systemId: this.#systemId,
      ...(carried === null ? {} : { carried }),
    });
    const landmarks = new LandmarkCollector(scanner, { segmentBytes: this.#segmentBytes, number, before });
    return { scanner, landmarks, changes: new ChangeCollector(scanner, number) };
  }
}
