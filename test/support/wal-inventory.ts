import type { TimelineSwitch } from '../../src/postgres/index.ts';
import {
  type LineageInventory,
  type LineageParent,
  type LsnRange,
  makeTimelineInventory,
  type StoredFragment,
  type WalInventory,
} from '../../src/protect/wal/index.ts';
import type { SnapshotFacts } from '../../src/restore/snapshot-facts.ts';

const MIB = 1024 * 1024;

/** Positions of made-up histories are counted in segments of 1 MiB: `at(3.5)` is the middle of the fourth. */
export function at(segments: number): bigint {
  return BigInt(Math.round(segments * MIB));
}

/** A lineage that is stored nowhere: what there is of each timeline, in segments. */
export function makeLineage(parts: {
  name: string;
  parent?: { name: string; fork: number; timeline?: number };
  timelines: Readonly<Record<number, readonly (readonly [number, number])[]>>;
  /** For each timeline, the switches that led to it, as [timeline, segment]. */
  histories?: Readonly<Record<number, readonly (readonly [number, number])[]>>;
  storedAt?: number;
  grewAt?: number;
}): LineageInventory {
  const lineage = nameToId(parts.name);
  const parent: LineageParent | null =
    parts.parent === undefined
      ? null
      : {
          lineage: nameToId(parts.parent.name),
          forkTimeline: parts.parent.timeline ?? 1,
          forkLsn: at(parts.parent.fork),
          reason: 'bytes-differ',
        };
  const timelines = Object.entries(parts.timelines).map(([number, ranges]) => {
    const timeline = Number(number);
    const fragments = ranges.flatMap(([start, end]) =>
      makeFragments(lineage, timeline, { start: at(start), end: at(end) }),
    );
    return [timeline, makeTimelineInventory(timeline, MIB, new Map(), fragments)] as const;
  });
  const histories = Object.entries(parts.histories ?? {}).map(([number, switches]) => {
    const list = switches.map(
      ([timeline, segment]): TimelineSwitch => ({ timeline, switchLsn: at(segment), reason: '' }),
    );
    return [Number(number), list] as const;
  });
  return {
    system: '7',
    lineage,
    header: {
      ...{ lineage, system: '7', cluster: 'main', createdAt: '2026-11-23T00:00:00.000Z', segmentBytes: MIB },
      ...{ startTimeline: Math.min(...Object.keys(parts.timelines).map(Number)), startLsn: 0n, parent },
    },
    storedAt: parts.storedAt ?? 0,
    grewAt: parts.grewAt ?? 0,
    timelines: new Map(timelines),
    histories: new Map(histories),
  };
}

export function makeInventory(...lineages: LineageInventory[]): WalInventory {
  return { lineages, damaged: [] };
}

/** A snapshot of the cluster "main" whose WAL lies between two positions, in segments. */
export function makeSnapshot(parts: {
  name: string;
  lineage: string;
  wal: readonly [number, number];
  timeline?: number;
  tablespaces?: SnapshotFacts['tablespaces'];
}): SnapshotFacts {
  return {
    id: nameToId(parts.name),
    cluster: 'main',
    system: '7',
    lineage: nameToId(parts.lineage),
    timeline: parts.timeline ?? 1,
    start: at(parts.wal[0]),
    end: at(parts.wal[1]),
    completedAt: Date.UTC(2026, 10, 23, 0, 0, Math.round(parts.wal[1])),
    treeRoot: nameToId('root'),
    files: 1000,
    bytes: 20 * MIB,
    serverMajor: 18,
    tablespaces: parts.tablespaces ?? [],
    checksumFailures: [],
  };
}

/** A readable name as an id of 64 hexadecimal digits. */
export function nameToId(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(64, '0');
}

/** A fragment for each segment that a range touches, as a receiver would have stored it. */
function makeFragments(lineage: string, timeline: number, { start, end }: LsnRange): StoredFragment[] {
  const fragments: StoredFragment[] = [];
  for (let from = start; from < end; ) {
    const next = (from / BigInt(MIB) + 1n) * BigInt(MIB);
    const to = next < end ? next : end;
    const objectName = `wal/7/${lineage}/fragments/${timeline}.${from}.${to}`;
    fragments.push({ timeline, start: from, end: to, receiver: '0'.repeat(16), objectName });
    from = to;
  }
  return fragments;
}
