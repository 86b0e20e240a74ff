import { HoldfastError } from '../../lib/index.ts';
import { parseLsn } from '../../postgres/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';
import { contiguousEndIn } from './continuity.ts';
import { findLineage, type LineageInventory, type WalInventory } from './inventory.ts';
import { newestTimeline, pathInLineage } from './timeline-path.ts';

/** How far the WAL that is stored reaches from the start of a snapshot's own range on. */
export interface SnapshotReach {
  /** The newest timeline that goes on from the snapshot's. */
  readonly timeline: number;
  /** The end of the unbroken WAL: the last position that the snapshot can be restored to, if it is not before its own end. */
  readonly to: bigint;
  /** Whether that covers what the snapshot cannot do without (rule A13). */
  readonly isComplete: boolean;
}

/** How far the stored WAL leads from a snapshot; `null` when its lineage, or the history of its timeline, is not there. */
export function findReach(inventory: WalInventory, wal: SnapshotRecord['wal']): SnapshotReach | null {
  const [start, end] = [parseLsn(wal.start), parseLsn(wal.end)];
  try {
    const lineage = findLineage(inventory, wal.lineage);
    const timeline = findTimelineAhead(lineage, wal.timeline, end);
    const to = contiguousEndIn(lineage, timeline, start);
    return { timeline, to, isComplete: to >= end };
  } catch (error) {
    // Such a snapshot lacks its WAL, which is what is asked here.
    if (error instanceof HoldfastError && error.code.startsWith('WAL_')) return null;
    throw error;
  }
}

/** The newest timeline of the lineage if it was reached through this one after `end`, else this one. */
function findTimelineAhead(lineage: LineageInventory, timeline: number, end: bigint): number {
  const newest = newestTimeline(lineage);
  if (newest === timeline || (newest !== 1 && !lineage.histories.has(newest))) return timeline;
  const own = pathInLineage(lineage, newest).find((stretch) => stretch.timeline === timeline);
  return own !== undefined && (own.to === null || own.to >= end) ? newest : timeline;
}
