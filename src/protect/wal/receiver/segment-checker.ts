import { WalScanner, type WalStop } from '../../../postgres/index.ts';

/**
 * Checks whole segments as a recovery would read them: page headers, and the CRC of each record (rule A14).
 *
 * Segments that come one after another are read by one scan, so that a record that reaches over their border is checked, too. After any other
 * one a scan begins anew at the start of the segment.
 */
export class SegmentChecker {
  readonly #segmentBytes: number;
  readonly #systemId: string;
  #scanner: WalScanner | null = null;
  #next = -1n;

  constructor(segmentBytes: number, systemId: string) {
    this.#segmentBytes = segmentBytes;
    this.#systemId = systemId;
  }

  /** Why the segment is not sound WAL, `null` when it is. `pieces` are all its bytes. */
  async check(number: bigint, pieces: AsyncIterable<Buffer>): Promise<WalStop | null> {
    const scanner = this.#scannerAt(number);
    this.#scanner = null;
    for await (const piece of pieces) {
      scanner.push(piece);
      while (scanner.next() !== null) {
        // That the scanner accepts the record is all that is asked.
      }
      if (scanner.stopped !== null) return scanner.stopped;
    }
    this.#scanner = scanner;
    this.#next = number + 1n;
    return null;
  }

  #scannerAt(number: bigint): WalScanner {
    if (this.#scanner !== null && this.#next === number) return this.#scanner;
    const startLsn = number * BigInt(this.#segmentBytes);
    return new WalScanner({ segmentSize: this.#segmentBytes, startLsn, systemId: this.#systemId });
  }
}
