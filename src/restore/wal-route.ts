import { formatHistoryName, segmentStartOf } from '../postgres/index.ts';
import {
  contiguousEnd,
  currentLineage,
  findContenders,
  findLineage,
  type LineageInventory,
  listRecoveryFiles,
  makeTimelineInventory,
  newestTimeline,
  pathInLineage,
  stretchAt,
  type WalInventory,
} from '../protect/wal/index.ts';

/**
 * One history of a cluster through the stored WAL, from the oldest lineage that counts to one of its descendants.
 *
 * It crosses from a lineage to its child exactly at the fork (rule A4): what the parent holds beyond it belongs to another route. The
 * segment in which the fork lies is the child's, who streamed it from its start.
 */
export interface WalRoute {
  /** The lineage in which the route ends, with its ancestors' WAL up to each fork as if it were its own. */
  readonly lineage: LineageInventory;
  /** The last timeline of the route. */
  readonly timeline: number;
  /** In which lineage the history file of a timeline is stored. */
  readonly historyHolders: ReadonlyMap<number, string>;
  /** Where the route comes from; null where it begins. */
  readonly parent: { readonly route: WalRoute; readonly forkLsn: bigint } | null;
}

/** Where a base backup stands in the WAL. */
export interface BackupPlace {
  readonly lineage: string;
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
}

/** A file that recovery may ask for. */
export type RouteFile =
  | { readonly kind: 'segment'; readonly name: string; readonly segmentNumber: bigint }
  /** `lineage` holds it; null for a timeline that is taken and whose history is not stored: then only the name matters. */
  | { readonly kind: 'history'; readonly name: string; readonly timeline: number; readonly lineage: string | null };

/** The route that ends with a lineage's newest timeline, or with the one named. Ancestors that are not stored are left out. */
export function routeTo(inventory: WalInventory, lineage: LineageInventory, timeline?: number): WalRoute {
  return follow(inventory, lineage, timeline ?? newestTimeline(lineage), new Set());
}

function follow(inventory: WalInventory, lineage: LineageInventory, timeline: number, passed: Set<string>): WalRoute {
  passed.add(lineage.lineage);
  const own = new Map([...lineage.histories.keys()].map((key) => [key, lineage.lineage]));
  const { parent } = lineage.header;
  const found = inventory.lineages.find((candidate) => candidate.lineage === parent?.lineage);
  // A fork at 0 says that nothing is shared. A lineage that is its own ancestor is no honest record, and is left alone.
  if (parent === null || parent.forkLsn === 0n || found === undefined || passed.has(found.lineage)) {
    return { lineage, timeline, historyHolders: own, parent: null };
  }
  const route = follow(inventory, found, parent.forkTimeline, passed);
  return {
    lineage: addAncestor(lineage, route, parent.forkLsn),
    timeline,
    historyHolders: new Map([...route.historyHolders, ...own]),
    parent: { route, forkLsn: parent.forkLsn },
  };
}

/** The child with what the parent holds of the same history, up to the segment in which the fork lies. */
function addAncestor(child: LineageInventory, parent: WalRoute, forkLsn: bigint): LineageInventory {
  const { segmentBytes } = child.header;
  const crossing = segmentStartOf(forkLsn, segmentBytes);
  const timelines = new Map(child.timelines);
  for (const { timeline } of pathInLineage(parent.lineage, parent.timeline)) {
    const before = parent.lineage.timelines.get(timeline);
    if (before === undefined) continue;
    const own = child.timelines.get(timeline);
    const segments = [...before.segments].filter(([number]) => (number + 1n) * BigInt(segmentBytes) <= crossing);
    const fragments = before.fragments.filter(({ end }) => end <= crossing);
    timelines.set(
      timeline,
      makeTimelineInventory(timeline, segmentBytes, new Map([...segments, ...(own?.segments ?? [])]), [
        ...fragments,
        ...(own?.fragments ?? []),
      ]),
    );
  }
  return { ...child, timelines, histories: new Map([...parent.lineage.histories, ...child.histories]) };
}

/**
 * The route on which the cluster is now, and those that end in its other lineages. Of several that went on, it is the one that a receiver last
 * stored, if `streamed` names one of them.
 */
export function findRoutes(
  inventory: WalInventory,
  system: string,
  cluster: string,
  streamed: string | null = null,
): { current: WalRoute | null; left: WalRoute[] } {
  const contenders = findContenders(inventory, system, cluster);
  const preferred = contenders.find(({ lineage }) => lineage === streamed);
  const current = preferred ?? currentLineage(inventory, system, cluster);
  const own = inventory.lineages.filter((lineage) => lineage.system === system && lineage.header.cluster === cluster);
  return {
    current: current === null ? null : routeTo(inventory, current),
    left: own.filter((lineage) => lineage !== current).map((lineage) => routeTo(inventory, lineage)),
  };
}

/** Every timeline of every lineage of a cluster, each as a route of its own, the present one first. */
export function listRoutes(
  inventory: WalInventory,
  system: string,
  cluster: string,
  streamed: string | null = null,
): WalRoute[] {
  const { current, left } = findRoutes(inventory, system, cluster, streamed);
  const newest = [...(current === null ? [] : [current]), ...left];
  const older = newest.flatMap(({ lineage, timeline }) => {
    const own = findLineage(inventory, lineage.lineage);
    return ownTimelines(own)
      .filter((other) => other !== timeline && canFollow(own, other))
      .map((other) => routeTo(inventory, own, other));
  });
  return [...newest, ...older];
}

/** The timelines of which a lineage itself has WAL or a history, in rising order. */
export function ownTimelines({ header, timelines, histories }: LineageInventory): number[] {
  return [...new Set([header.startTimeline, ...timelines.keys(), ...histories.keys()])].sort((a, b) => a - b);
}

function canFollow({ histories }: LineageInventory, timeline: number): boolean {
  return timeline === 1 || histories.has(timeline);
}

/** What the functions of `protect/wal` ask for: an inventory in which the route is the one lineage. */
export function inventoryOf(route: WalRoute): WalInventory {
  return { lineages: [route.lineage], damaged: [] };
}

/** The route as the functions of `protect/wal` name one. */
export function historyOf(route: WalRoute): { lineage: string; timeline: number } {
  return { lineage: route.lineage.lineage, timeline: route.timeline };
}

/** Why a base backup cannot be the beginning of a restore along this route, in words; null when it can. */
export function whyNotOnRoute(route: WalRoute, place: BackupPlace): string | null {
  if (route.lineage.lineage !== place.lineage) {
    if (route.parent === null) return 'its WAL is of a history that does not lead here';
    if (place.end > route.parent.forkLsn && isOrigin(route.parent.route, place.lineage)) {
      return 'it ends after the server left its history for another one';
    }
    return whyNotOnRoute(route.parent.route, place);
  }
  const stretch = pathInLineage(route.lineage, route.timeline).find(({ timeline }) => timeline === place.timeline);
  if (stretch === undefined) return `its timeline ${place.timeline} does not lead to timeline ${route.timeline}`;
  if (stretch.to !== null && place.end > stretch.to) return `it ends after timeline ${place.timeline} was left`;
  return null;
}

/** Whether a lineage is on the route. */
function isOrigin(route: WalRoute, lineage: string): boolean {
  return route.lineage.lineage === lineage || (route.parent !== null && isOrigin(route.parent.route, lineage));
}

/** The end of the WAL that is stored without a gap from `from` on; `from` itself when the byte there is missing. */
export function routeEnd(route: WalRoute, from: bigint): bigint {
  const { lineage, timeline } = historyOf(route);
  return contiguousEnd(inventoryOf(route), lineage, timeline, from);
}

/**
 * The same route, ending on the timeline of the given record: the one that recovery is told to follow. On older timelines the file of the
 * next one is served; on this one the newest fragments may be (rule A6), and a server that stops on it leaves it there.
 */
export function endRouteAt(route: WalRoute, record: { lsn: bigint; endLsn: bigint }): WalRoute {
  // A record over the fork is the child's: the parent has other bytes for its end.
  if (route.parent !== null && record.endLsn <= route.parent.forkLsn) return endRouteAt(route.parent.route, record);
  const { timeline } = stretchAt(pathInLineage(route.lineage, route.timeline), record.lsn);
  return { ...route, timeline };
}

/**
 * The WAL plan: every file that exists for a recovery from `from` up to `to` along the route, histories first, segments in the order in which
 * the server reads them.
 *
 * To them come the history files of later timelines that the system has had: the server looks for these when it chooses the number of its new
 * timeline, which must be nobody else's.
 */
export function planFiles(inventory: WalInventory, route: WalRoute, range: { from: bigint; to: bigint }): RouteFile[] {
  const files = listRecoveryFiles(inventoryOf(route), { ...historyOf(route), ...range });
  const own = files.map((file): RouteFile => {
    if (file.kind === 'segment') return file;
    return { ...file, lineage: route.historyHolders.get(file.timeline) ?? null };
  });
  const histories = [...own, ...takenTimelines(inventory, route)].filter((file) => file.kind === 'history');
  return [...histories, ...own.filter((file) => file.kind === 'segment')];
}

function takenTimelines(inventory: WalInventory, route: WalRoute): RouteFile[] {
  const own = inventory.lineages.filter(({ system }) => system === route.lineage.system);
  const newest = Math.max(route.timeline, ...own.map(newestTimeline));
  return Array.from({ length: newest - route.timeline }, (_, i) => {
    const timeline = route.timeline + 1 + i;
    const holder = own.find((lineage) => lineage.histories.has(timeline));
    return { kind: 'history', name: formatHistoryName(timeline), timeline, lineage: holder?.lineage ?? null };
  });
}

/** How many bytes of WAL the segments of a plan are. */
export function planBytes(route: WalRoute, files: readonly RouteFile[]): number {
  return files.filter((file) => file.kind === 'segment').length * route.lineage.header.segmentBytes;
}
