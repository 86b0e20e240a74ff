import { type UnfinishedRecord, WalScanner, type WalStop } from '../../../postgres/index.ts';
import {
  type CollectedBlock,
  carriedBy,
  LandmarkCollector,
  LandmarkKeeper,
  type SegmentBlock,
} from '../landmarks/index.ts';

/**
 * Checks whole segments as a recovery would read them: page headers, and the CRC of each record (rule A14). The same scan gathers the segment's
 * part of the commit index.
 *
 * Segments that come one after another are read by one scan, so that a record that reaches over their border is checked, too. After any other
 * one a scan begins anew at the start of the segment; what the index kept of the record that goes on there is then given to it.
 */
export class SegmentChecker {
  /** Stores what was gathered. */
  readonly landmarks = new LandmarkKeeper();
  readonly #segmentBytes: number;
  readonly #systemId: string;
  #scan: { readonly scanner: WalScanner; readonly collector: LandmarkCollector } | null = null;
  #next = -1n;
  #block: CollectedBlock | null = null;

  constructor(segmentBytes: number, systemId: string) {
    this.#segmentBytes = segmentBytes;
    this.#systemId = systemId;
  }

  /** The landmarks of the segment that was found sound last; null when there is none, or when it has a record of an unknown form. */
  get block(): CollectedBlock | null {
    return this.#block;
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
    this.#block = null;
    const { scanner, collector } = scan;
    for await (const piece of pieces) {
      scanner.push(piece);
      for (let record = scanner.next(); record !== null; record = scanner.next()) collector.see(record);
      if (scanner.stopped !== null) return scanner.stopped;
    }
    this.#block = collector.finishSegment();
    this.#scan = scan;
    this.#next = number + 1n;
    return null;
  }

  #begin(number: bigint, before: SegmentBlock | null) {
    const carried: UnfinishedRecord | null = before === null ? null : carriedBy(before);
    const scanner = new WalScanner({
      segmentSize: this.#segmentBytes,
      startLsn: number * BigInt(this.#segmentBytes),
      systemId: this.#systemId,
      ...(carried === null ? {} : { carried }),
    });
    const collector = new LandmarkCollector(scanner, { segmentBytes: this.#segmentBytes, number, before });
    return { scanner, collector };
  }
}
