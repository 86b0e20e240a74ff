import { shorten } from './anomalies.ts';
import type { WalNeed } from './decision.ts';
import type { LineageFacts, PolicyInput } from './facts.ts';
import type { JudgedSnapshot } from './judged-snapshot.ts';
import type { Keep } from './keep-by-rules.ts';

/** What the window of point-in-time recovery keeps. */
export interface WalWindow {
  readonly keeps: readonly Keep[];
  readonly needs: readonly WalNeed[];
  /** Since when every moment of the present lineage can be reached, as far as snapshots tell; `null` without a sound one that leads into it. */
  readonly reachableSince: number | null;
}

/** A lineage on the way to another: what it holds from `next`'s fork on belongs to a history that was left. */
interface WayPart {
  readonly facts: LineageFacts;
  readonly path: readonly { readonly timeline: number; readonly to: bigint | null }[];
  /** Where its child takes over; `null` on the last. */
  readonly limit: bigint | null;
}

/** A snapshot from which a way can be followed, and on which part of it. */
interface Base {
  readonly snapshot: JudgedSnapshot;
  readonly part: number;
}

/** Snapshots newest first. Keeps for every lineage with moments in the window what each of these moments is restored from. */
export function keepWalWindow(input: PolicyInput, judged: readonly JudgedSnapshot[]): WalWindow {
  const sound = judged.filter(({ isSound }) => isSound);
  const windowStart = input.now - (input.rules.wal ?? input.rules.keepWithin ?? 0);
  const present = findPresent(input.lineages, sound[0]);
  const keeps: Keep[] = [];
  const needs: WalNeed[] = [];
  let reachableSince: number | null = null;
  for (const lineage of [...input.lineages].sort((a, b) => (a.lineage < b.lineage ? -1 : 1))) {
    if (lineage.grewAt < windowStart && lineage.beganAt < windowStart && !present.has(lineage)) continue;
    const kept = keepLineage(input.lineages, lineage, sound, windowStart);
    keeps.push(...kept.keeps);
    needs.push(...kept.needs);
    if (lineage.lineage === sound[0]?.facts.wal.lineage) reachableSince = kept.since;
  }
  return { keeps, needs, reachableSince };
}

/** Lineages that may be the present one however idle they are: the one that grew last, and the one of the newest sound snapshot. */
function findPresent(lineages: readonly LineageFacts[], newest: JudgedSnapshot | undefined): Set<LineageFacts> {
  const grewAt = lineages.reduce((latest, each) => Math.max(latest, each.grewAt), 0);
  return new Set(lineages.filter((each) => each.grewAt === grewAt || each.lineage === newest?.facts.wal.lineage));
}

function keepLineage(
  lineages: readonly LineageFacts[],
  lineage: LineageFacts,
  sound: readonly JudgedSnapshot[],
  windowStart: number,
): { keeps: Keep[]; needs: WalNeed[]; since: number | null } {
  const way = followBack(lineages, lineage);
  const bases = way === null ? [] : findBases(way, sound);
  const base = bases.find(({ snapshot }) => snapshot.time <= windowStart) ?? bases.at(-1);
  if (way === null || base === undefined) {
    const why = way === null ? 'its histories are not all there' : 'no good snapshot leads into it yet';
    return { keeps: [], needs: [needAll(lineage, `All WAL of the lineage stays, as ${why}.`)], since: null };
  }
  const { id, wal } = base.snapshot.facts;
  const needs = way.slice(0, base.part + 1).map(({ facts, limit }, part): WalNeed => {
    const from = part === base.part ? wal.start : 0n;
    const begin = `The window of point-in-time recovery begins with snapshot ${shorten(id)}`;
    const reason =
      part === 0 ? `${begin}.` : `${begin}, and leads through here to lineage ${shorten(lineage.lineage)}.`;
    return { system: facts.system, lineage: facts.lineage, from, to: limit, reasons: [reason] };
  });
  const since = base.snapshot.time;
  const first: Keep = { snapshot: base.snapshot, reason: { kind: 'wal-window', lineage: lineage.lineage, since } };
  return { keeps: [first, ...keepBehindGaps(way, bases, base)], needs, since };
}

/** The lineage, its parent, and so on; `null` when the way through its own timelines is not known. Ancestors whose way is not known are left out. */
function followBack(lineages: readonly LineageFacts[], lineage: LineageFacts): WayPart[] | null {
  const path = lineage.paths.get(lineage.newestTimeline);
  if (path === undefined) return null;
  const way: WayPart[] = [{ facts: lineage, path, limit: null }];
  for (let { parent } = lineage; parent !== null && parent.forkLsn > 0n; ) {
    const facts = lineages.find((each) => each.lineage === parent?.lineage);
    const before = facts?.paths.get(parent.forkTimeline);
    // A lineage that is its own ancestor is no honest record, and is left alone.
    if (facts === undefined || before === undefined || way.some((part) => part.facts === facts)) break;
    way.push({ facts, path: before, limit: parent.forkLsn });
    parent = facts.parent;
  }
  return way;
}

/** The snapshots that lead along the way to its end, in the order in which they are given. */
function findBases(way: readonly WayPart[], sound: readonly JudgedSnapshot[]): Base[] {
  const parts = new Map(way.map(({ facts }, part) => [facts.lineage, part]));
  return sound.flatMap((snapshot) => {
    const { wal } = snapshot.facts;
    const part = parts.get(wal.lineage);
    if (part === undefined) return [];
    const { path, limit } = way[part]!;
    const stretch = path.find(({ timeline }) => timeline === wal.timeline);
    if (stretch === undefined || (stretch.to !== null && wal.end > stretch.to)) return [];
    return limit !== null && wal.end > limit ? [] : [{ snapshot, part }];
  });
}

/** The first snapshot behind each hole in the WAL from the base on: what lies behind a hole is reached from there alone. */
function keepBehindGaps(way: readonly WayPart[], bases: readonly Base[], base: Base): Keep[] {
  return way.slice(0, base.part + 1).flatMap(({ facts, limit }, part) => {
    const from = part === base.part ? base.snapshot.facts.wal.start : 0n;
    const gaps = facts.gaps.filter(({ start, end }) => end > from && (limit === null || start < limit));
    return gaps.flatMap(({ end }): Keep[] => {
      const behind = bases.filter(
        (each) => each.part < part || (each.part === part && each.snapshot.facts.wal.start >= end),
      );
      const [first] = behind.sort(byPosition);
      if (first === undefined) return [];
      return [{ snapshot: first.snapshot, reason: { kind: 'after-gap', lineage: facts.lineage, end } }];
    });
  });
}

/** The way begins with the last part. */
function byPosition(a: Base, b: Base): number {
  const [one, other] = [a.snapshot.facts.wal.start, b.snapshot.facts.wal.start];
  if (a.part !== b.part || one === other) return b.part - a.part;
  return one < other ? -1 : 1;
}

/** All of a lineage, whatever comes. */
export function needAll({ system, lineage }: { system: string; lineage: string }, reason: string): WalNeed {
  return { system, lineage, from: 0n, to: null, reasons: [reason] };
}

/** The same needs, by lineage and position, those that touch or overlap joined. */
export function joinNeeds(needs: readonly WalNeed[]): WalNeed[] {
  const byLineage = Map.groupBy(needs, ({ system, lineage }) => `${system}/${lineage}`);
  return [...byLineage].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, own]) => joinOfLineage(own));
}

function joinOfLineage(needs: readonly WalNeed[]): WalNeed[] {
  const sorted = needs
    .filter(({ from, to }) => to === null || to > from)
    .sort((a, b) => (a.from < b.from ? -1 : Number(a.from > b.from)));
  const joined: WalNeed[] = [];
  for (const need of sorted) {
    const last = joined.at(-1);
    if (last === undefined || (last.to !== null && need.from > last.to)) joined.push(need);
    else
      joined[joined.length - 1] = {
        ...last,
        to: latest(last.to, need.to),
        reasons: [...last.reasons, ...need.reasons],
      };
  }
  return joined.map((need) => ({ ...need, reasons: [...new Set(need.reasons)].sort() }));
}

function latest(a: bigint | null, b: bigint | null): bigint | null {
  if (a === null || b === null) return null;
  return a > b ? a : b;
}
