import type { Repository } from '../../repository/index.ts';
import { findLineage, type WalInventory } from './inventory.ts';
import type { TransactionLandmark } from './landmark.ts';
import { LandmarkReader, type LandmarkSummary } from './landmarks/index.ts';
import { maxLsn, minLsn } from './lsn-ranges.ts';

/** Each window that is looked through is so many times as long as the one behind it; a summary has so many parts. */
const GROWTH = 16n;

/**
 * The last commit of those whose records lie in [from, to); null when there is none. It is looked for backwards: one segment, then more and
 * more, of which the index tells in short whether there is any commit in them.
 *
 * Errors: as `LandmarkReader.read`.
 */
export async function findLastCommit(
  repository: Repository,
  inventory: WalInventory,
  range: { lineage: string; timeline: number; from: bigint; to: bigint },
): Promise<TransactionLandmark | null> {
  const size = BigInt(findLineage(inventory, range.lineage).header.segmentBytes);
  const reader = new LandmarkReader(repository, inventory, range);
  let segments = 1n;
  for (let end = range.to; end > range.from; segments *= GROWTH) {
    const behind = (end - 1n) / size + 1n;
    const start = maxLsn(range.from, behind < segments ? 0n : (behind - segments) * size);
    // A record that begins in the window may end behind it.
    let found = await lastIn(reader, { from: start, to: minLsn(range.to, end + size), before: end }, size, segments);
    while (found !== null && !('kind' in found)) {
      const from = maxLsn(range.from, (found.number - 1n) * size);
      const to = minLsn(range.to, (found.number + BigInt(found.segments)) * size);
      found = await lastIn(reader, { from, to, before: end }, size, BigInt(found.segments) / GROWTH);
    }
    if (found !== null) return found;
    end = start;
  }
  return null;
}

/** The last commit that begins before `before`, or the last summary with commits, of at most so many segments, in which it is. */
async function lastIn(
  reader: LandmarkReader,
  window: { from: bigint; to: bigint; before: bigint },
  size: bigint,
  segmentsMax: bigint,
): Promise<TransactionLandmark | LandmarkSummary | null> {
  let last: TransactionLandmark | LandmarkSummary | null = null;
  const decide = (summary: LandmarkSummary) => {
    if (summary.commits === 0) return 'pass';
    const isBefore = (summary.number + BigInt(summary.segments)) * size <= window.before;
    return isBefore && BigInt(summary.segments) <= segmentsMax ? 'sum' : 'read';
  };
  for await (const part of reader.summarize(window, decide)) {
    if (!('kind' in part)) last = part;
    else if (part.lsn >= window.before) break;
    else if (part.kind === 'transaction' && part.transaction.outcome === 'commit') last = part;
  }
  return last;
}
