import { HoldfastError } from '../../lib/index.ts';
import { formatLsn, WAL_PAGE_BYTES, type WalRecord, WalScanner, type WalStop } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { findLineage, type WalInventory } from './inventory.ts';
import { landmarkOf, type WalLandmark } from './landmark.ts';
import { StoredWal } from './stored-wal.ts';
import { pathInLineage } from './timeline-path.ts';

/** WAL of a chosen history. */
export interface WalRange {
  readonly lineage: string;
  /** The last timeline of the history. */
  readonly timeline: number;
  /** The start of a record or of a page: records that begin before it are not told. */
  readonly from: bigint;
  /** Records that begin here or later are not told; no further than WAL is stored without a gap. */
  readonly to: bigint;
}

/**
 * The landmarks of a range, in the order of the WAL, across timelines, read from the WAL itself. Whoever need not hear of damage reads them
 * faster by `LandmarkReader`.
 *
 * Errors: WAL_RECORD_UNREADABLE when stored WAL does not go on as it must, which is damage and not the end; OBJECT_DAMAGED;
 * WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the store.
 */
export async function* scanWal(
  repository: Repository,
  inventory: WalInventory,
  range: WalRange,
): AsyncGenerator<WalLandmark, void> {
  let found: WalLandmark[] = [];
  const scan = scanRecords(repository, inventory, range, (record) => {
    const landmark = landmarkOf(record);
    if (landmark !== null) found.push(landmark);
  });
  for (;;) {
    const { done, value: stop } = await scan.next();
    yield* found;
    found = [];
    if (!done) continue;
    if (!isEndOfInput(stop)) throw unreadable(stop);
    return;
  }
}

/**
 * Shows every whole record of a range to `visit`, and tells at the end where and why the scan stopped. It pauses after each piece of input,
 * so that the caller can hand on what it gathered. The record is good only inside `visit`.
 */
export async function* scanRecords(
  repository: Repository,
  inventory: WalInventory,
  range: WalRange,
  visit: (record: WalRecord) => void,
): AsyncGenerator<void, WalStop> {
  const lineage = findLineage(inventory, range.lineage);
  const stored = new StoredWal(repository, lineage, pathInLineage(lineage, range.timeline));
  // A page begins with a header, so that a scan can begin there, whatever lies on it.
  const startLsn = range.from - (range.from % BigInt(WAL_PAGE_BYTES));
  const { segmentBytes, system } = lineage.header;
  const scanner = new WalScanner({ segmentSize: segmentBytes, startLsn, systemId: system });
  for await (const piece of stored.read(startLsn, range.to)) {
    scanner.push(piece);
    for (let record = scanner.next(); record !== null; record = scanner.next()) {
      if (record.lsn >= range.from) visit(record);
    }
    if (scanner.stopped !== null) return scanner.stopped;
    yield;
  }
  return scanner.end();
}

/** True when the scan stopped because there was no more WAL, not because of what stood there. */
export function isEndOfInput(stop: WalStop): boolean {
  return stop.reason === 'input-ended' || stop.reason === 'incomplete-record';
}

function unreadable(stop: WalStop): HoldfastError {
  return new HoldfastError('WAL_RECORD_UNREADABLE', `cannot read stored WAL at ${formatLsn(stop.lsn)}`, {
    detail: `Expected the next record there. ${stop.detail} All WAL before ${formatLsn(stop.validEndLsn)} is whole.`,
    hints: ['Restore to a position before it, or take a new base backup to protect what comes after.'],
  });
}
