import { HoldfastError } from '../../lib/index.ts';
import { findLineage, type LineageInventory, type WalInventory } from '../../protect/wal/index.ts';
import { type SnapshotFacts, shortId } from '../snapshot-facts.ts';
import { ownTimelines, routeTo, type WalRoute } from '../wal-route.ts';

/** Which timeline a recovery follows, as `recovery_target_timeline` means it: the latest, that of the base backup, or the one with a number. */
export type TimelineChoice = 'latest' | 'current' | number;

const NUMBER = /^(?:0x[0-9a-f]{1,8}|[0-9]{1,10})$/i;
const TIMELINE_MAX = 0xffffffff;

/** Reads `latest`, `current` or a number, in hexadecimal when it begins with `0x`. Errors: RECOVERY_TIMELINE_INVALID. */
export function parseTimelineChoice(text: string): TimelineChoice {
  const value = text.trim().toLowerCase();
  if (value === 'latest' || value === 'current') return value;
  const number = NUMBER.test(value) ? Number(value) : 0;
  if (number >= 1 && number <= TIMELINE_MAX) return number;
  throw new HoldfastError('RECOVERY_TIMELINE_INVALID', `invalid timeline "${text}"`, {
    detail: `Expected "latest", "current" or a number from 1 to ${TIMELINE_MAX}.`,
    hints: ['`holdfast wal status` lists the timelines that are stored.'],
  });
}

/**
 * The route that ends on the chosen timeline; null when the one that is chosen already does.
 *
 * A timeline's own WAL, also what the server wrote on it after another one had left it, lies in the lineage that streamed it: the chosen one if
 * that did, otherwise the only one of the cluster.
 * Errors: RESTORE_TIMELINE_ABSENT, also when several lineages have a timeline of this number; WAL_HISTORY_ABSENT.
 */
export function chooseTimeline(options: {
  timeline?: TimelineChoice;
  /** Set when the user named a lineage. */
  lineage?: string;
  inventory: WalInventory;
  chosen: WalRoute;
  /** Of which cluster, and where its newest base backup began: there `current` leads. */
  newest: Pick<SnapshotFacts, 'system' | 'cluster' | 'lineage' | 'timeline'>;
}): WalRoute | null {
  const { timeline = 'latest', inventory, chosen, newest } = options;
  if (timeline === 'latest') return null;
  if (timeline === 'current') return routeTo(inventory, findLineage(inventory, newest.lineage), newest.timeline);
  const own = inventory.lineages.filter(
    ({ system, header }) => system === newest.system && header.cluster === newest.cluster,
  );
  const eligible = own.filter(({ lineage }) => options.lineage === undefined || lineage === chosen.lineage.lineage);
  const having = eligible.filter((lineage) => ownTimelines(lineage).includes(timeline));
  const preferred = having.find(({ lineage }) => lineage === chosen.lineage.lineage);
  const [only, ...others] = preferred === undefined ? having : [preferred];
  if (only === undefined || others.length > 0) throw noTimeline(timeline, own, having);
  return routeTo(inventory, only, timeline);
}

function noTimeline(
  timeline: number,
  own: readonly LineageInventory[],
  having: readonly LineageInventory[],
): HoldfastError {
  if (having.length > 0) {
    return new HoldfastError('RESTORE_TIMELINE_ABSENT', `cannot tell which timeline ${timeline} is meant`, {
      detail: `Lineages ${having.map(({ lineage }) => shortId(lineage)).join(', ')} each have one.`,
      hints: ['Name the lineage with --lineage; `holdfast wal status` tells more of each.'],
    });
  }
  const stored = own.map((lineage) => `lineage ${shortId(lineage.lineage)} has ${ownTimelines(lineage).join(', ')}`);
  return new HoldfastError('RESTORE_TIMELINE_ABSENT', `cannot follow timeline ${timeline}: it is not stored`, {
    detail: `Of this cluster ${stored.join('; ')}.`,
    hints: ['Name one of these with --timeline, or leave it out to follow the latest.'],
  });
}
