import { findLineage, type LineageInventory, type WalInventory } from './inventory.ts';
import { type LsnRange, missingRanges, unbrokenEnd } from './lsn-ranges.ts';
import { newestTimeline, pathInLineage, storedOnPath } from './timeline-path.ts';

/**
 * How far WAL is stored without a gap from `fromLsn` on, on the way to `timeline` (rule A14); `fromLsn` itself when the byte there is
 * missing. `timeline` is the last one of the chosen history: WAL of the timelines before it counts up to where each was left.
 *
 * Errors: WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT.
 */
export function contiguousEnd(inventory: WalInventory, lineage: string, timeline: number, fromLsn: bigint): bigint {
  return contiguousEndIn(findLineage(inventory, lineage), timeline, fromLsn);
}

/** `contiguousEnd` for who has the lineage at hand. */
export function contiguousEndIn(lineage: LineageInventory, timeline: number, fromLsn: bigint): bigint {
  return unbrokenEnd(storedOnPath(lineage, pathInLineage(lineage, timeline)), fromLsn);
}

/** What a lineage can be restored to: unbroken runs of WAL on its newest history, and what lies between them. */
export interface LineageContinuity {
  readonly timeline: number;
  readonly runs: readonly LsnRange[];
  readonly gaps: readonly LsnRange[];
}

/** Errors: WAL_HISTORY_ABSENT. */
export function describeContinuity(lineage: LineageInventory): LineageContinuity {
  const timeline = newestTimeline(lineage);
  const runs = storedOnPath(lineage, pathInLineage(lineage, timeline));
  const [first, last] = [runs[0], runs.at(-1)];
  const gaps =
    first === undefined || last === undefined ? [] : missingRanges(runs, { start: first.start, end: last.end });
  return { timeline, runs, gaps };
}

/**
 * The lineage to go on with for a cluster: of those that were not left for another one, one that holds WAL, and of these the oldest in
 * the store's time, so that two receivers that began at the same moment agree. `null` when there is none.
 */
export function currentLineage(inventory: WalInventory, system: string, cluster: string): LineageInventory | null {
  const own = inventory.lineages.filter((lineage) => lineage.system === system && lineage.header.cluster === cluster);
  const left = new Set(own.map((lineage) => lineage.header.parent?.lineage));
  const leaves = own.filter((lineage) => !left.has(lineage.lineage));
  const isEmpty = (lineage: LineageInventory) => (lineage.timelines.size === 0 ? 1 : 0);
  leaves.sort((a, b) => isEmpty(a) - isEmpty(b) || a.storedAt - b.storedAt || (a.lineage < b.lineage ? -1 : 1));
  return leaves[0] ?? null;
}

/**
 * The lineages of a cluster each of which may be the present one: those with WAL that were not left for another one, and those that were and
 * yet got WAL behind the fork after the other one had begun. More than one means that two servers went on: the standby that was promoted and
 * the primary that was to be stopped, or a server and a copy of it. WAL does not tell which of them the application used.
 */
export function findContenders(inventory: WalInventory, system: string, cluster: string): LineageInventory[] {
  const own = inventory.lineages.filter((lineage) => lineage.system === system && lineage.header.cluster === cluster);
  const children = (parent: LineageInventory) => own.filter(({ header }) => header.parent?.lineage === parent.lineage);
  const wentOn = (parent: LineageInventory, child: LineageInventory) =>
    parent.grewAt > child.storedAt &&
    describeContinuity(parent).runs.some(({ end }) => end > child.header.parent!.forkLsn);
  return own.filter((lineage) => {
    const later = children(lineage).filter(({ timelines }) => timelines.size > 0);
    return lineage.timelines.size > 0 && later.every((child) => wentOn(lineage, child));
  });
}
