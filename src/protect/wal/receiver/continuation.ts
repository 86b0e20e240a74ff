import { WalScanner } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { StoredWal } from '../stored-wal.ts';
import type { TimelineStretch } from '../timeline-path.ts';

/**
 * Proves that WAL goes on from what is stored where there is no byte to compare, as the server has nothing any more of the segment before: the
 * record that reaches over the border has the right CRC, or the first record names the last stored one as the one before.
 */
export class Continuation {
  readonly #scanner: WalScanner;
  readonly #start: bigint;

  private constructor(scanner: WalScanner, start: bigint) {
    this.#scanner = scanner;
    this.#start = start;
  }

  /**
   * Reads the segment before `start`, which is the start of one. `null` when it is not stored whole, or is no sound WAL itself: then it proves nothing.
   * Errors: OBJECT_DAMAGED; those of the store.
   */
  static async prime(
    repository: Repository,
    lineage: LineageInventory,
    path: readonly TimelineStretch[],
    start: bigint,
  ): Promise<Continuation | null> {
    const { segmentBytes, system } = lineage.header;
    const from = start - BigInt(segmentBytes);
    const scanner = new WalScanner({ segmentSize: segmentBytes, startLsn: from, systemId: system });
    let at = from;
    for await (const piece of new StoredWal(repository, lineage, path).read(from, start)) {
      scanner.push(piece);
      while (scanner.next() !== null) {
        // Only where the last one begins is wanted, which the scanner knows.
      }
      if (scanner.stopped !== null) return null;
      at += BigInt(piece.length);
    }
    return at === start ? new Continuation(scanner, start) : null;
  }

  /** What the next bytes from `start` on say. While it is `open`, no record has ended in them yet. */
  check(bytes: Buffer): 'proved' | 'broken' | 'open' {
    this.#scanner.push(bytes);
    for (let record = this.#scanner.next(); record !== null; record = this.#scanner.next()) {
      if (record.endLsn > this.#start) return 'proved';
    }
    return this.#scanner.stopped === null ? 'open' : 'broken';
  }
}
