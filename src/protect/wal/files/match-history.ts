import { parseTimelineHistory, type TimelineSwitch } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { LineageInventory, WalInventory } from '../inventory.ts';
import { compareHistories, type DivergedPlan, holdsRecordBehind, type ResumeFacts } from '../receiver/index.ts';
import { isWalDamage } from '../stored-wal.ts';
import { newestTimeline, pathInLineage, timelinePath } from '../timeline-path.ts';

/** A history file and what it says. */
export interface HistoryFile {
  readonly timeline: number;
  readonly content: string;
  readonly switches: readonly TimelineSwitch[];
}

/** How a history file stands to one lineage. */
export type HistoryMatch =
  | { readonly kind: 'fits'; readonly isStored: boolean }
  | { readonly kind: 'conflict'; readonly diverged: DivergedPlan };

const LSN_MAX = (1n << 64n) - 1n;

/** Errors: PG_TIMELINE_HISTORY_INVALID. */
export function describeHistory(timeline: number, content: string): HistoryFile {
  return { timeline, content, switches: parseTimelineHistory(content) };
}

/**
 * Holds a history file against the timelines of a lineage: it must lead from them to the new one without leaving out WAL that is stored.
 * Errors: WAL_HISTORY_ABSENT; those of the store.
 */
export async function matchHistory(
  repository: Repository,
  inventory: WalInventory,
  lineage: LineageInventory,
  file: HistoryFile,
): Promise<HistoryMatch> {
  if (lineage.histories.has(file.timeline)) return matchStored(lineage, file);
  if (lineage.timelines.size === 0 && lineage.histories.size === 0) return { kind: 'fits', isStored: false };
  const path = timelinePath(file.timeline, file.switches);
  const own = pathInLineage(lineage, newestTimeline(lineage));
  // One that leads to where the lineage has been already is missing there, and no news.
  const known = own.findIndex(({ timeline }) => timeline === file.timeline);
  if (known >= 0 && sameWay(own.slice(0, known), path)) return { kind: 'fits', isStored: false };
  const facts: ResumeFacts = {
    lineage,
    server: { timeline: file.timeline, flushLsn: LSN_MAX, isPrimary: true, switches: file.switches },
    ...{ keptFrom: 0n, wantedFrom: null, isStartGone: false, harmlessTails: new Set() },
  };
  const diverged = compareHistories(facts, path);
  if (diverged?.kind !== 'diverged') return { kind: 'fits', isStored: false };
  if (await isOnlyATail(repository, inventory, lineage, diverged)) return { kind: 'fits', isStored: false };
  return { kind: 'conflict', diverged };
}

function matchStored(lineage: LineageInventory, file: HistoryFile): HistoryMatch {
  const stored = lineage.histories.get(file.timeline)!;
  const text = (switches: readonly TimelineSwitch[]) =>
    switches.map(({ timeline, switchLsn }) => `${timeline} ${switchLsn}`).join();
  if (text(stored) === text(file.switches)) return { kind: 'fits', isStored: true };
  const parts = stored.findIndex((entry, index) => text([entry]) !== text(file.switches.slice(index, index + 1)));
  const [ours, theirs] = [stored[Math.max(parts, 0)], file.switches[Math.max(parts, 0)]];
  const earlier = ours !== undefined && theirs !== undefined && theirs.switchLsn < ours.switchLsn ? theirs : ours;
  const { timeline: forkTimeline, switchLsn } = earlier ?? { timeline: 1, switchLsn: null };
  return {
    kind: 'conflict',
    diverged: { kind: 'diverged', reason: 'timeline-forked-earlier', forkTimeline, forkLsn: switchLsn },
  };
}

function sameWay(
  a: readonly { timeline: number; to: bigint | null }[],
  b: readonly { timeline: number; to: bigint | null }[],
): boolean {
  return (
    a.length + 1 === b.length && a.every((stretch, i) => stretch.timeline === b[i]!.timeline && stretch.to === b[i]!.to)
  );
}

/** A server that is promoted discards a record that it had only in part: no whole one behind the switch, nothing lost. */
async function isOnlyATail(
  repository: Repository,
  inventory: WalInventory,
  lineage: LineageInventory,
  diverged: DivergedPlan,
): Promise<boolean> {
  if (diverged.reason !== 'timeline-forked-earlier' || diverged.forkLsn === null) return false;
  const { forkTimeline: timeline, forkLsn: lsn } = diverged;
  const end = lineage.timelines.get(timeline)?.ranges.at(-1)?.end ?? lsn;
  if (timeline !== newestTimeline(lineage)) return false;
  try {
    return !(await holdsRecordBehind(repository, inventory, { lineage: lineage.lineage, timeline, lsn, end }));
  } catch (error) {
    // What cannot be read may have held a record: the safe answer is a lineage of its own.
    if (isWalDamage(error)) return false;
    throw error;
  }
}
