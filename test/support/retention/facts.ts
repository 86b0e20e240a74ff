import type { LineageFacts, PolicyInput, RetentionRules, SnapshotFacts } from '../../../src/protect/retention/index.ts';

/** A lineage id from a short name. */
export function lineageId(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(64, '0');
}

/** A snapshot of cluster "main" that is sound, taken at `at`, of timeline 1 of lineage "a"; its WAL lies where its time does. */
export function makeFacts(number: number, at: number, changes: Partial<SnapshotFacts> = {}): SnapshotFacts {
  return {
    id: number.toString(16).padStart(8, '0').padEnd(64, '0'),
    cluster: 'main',
    completedAt: at,
    storedAt: at,
    level: 'stored',
    doubts: [],
    tags: [],
    wal: { system: '71', lineage: lineageId('a'), timeline: 1, start: BigInt(at), end: BigInt(at) + 100n },
    ...changes,
  };
}

/** Lineage "a" of timeline 1 alone, without a hole, unless changed. */
export function makeLineage(name: string, changes: Partial<LineageFacts> = {}): LineageFacts {
  return {
    ...{ system: '71', lineage: lineageId(name), parent: null, beganAt: 0, grewAt: 0, newestTimeline: 1, gaps: [] },
    paths: new Map([[1, [{ timeline: 1, to: null }]]]),
    ...changes,
  };
}

/** Rules that keep nothing but what always stays. */
export const noRules: RetentionRules = {
  ...{ keepWithin: null, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
  ...{ keepAtLeast: 1, keepTags: [], timeZone: 'UTC', wal: null },
};

/** The facts of cluster "main" when all is well. */
export function makeInput(
  changes: Partial<Omit<PolicyInput, 'rules'>> & { rules?: Partial<RetentionRules> },
): PolicyInput {
  return {
    ...{ cluster: 'main', now: 0, snapshots: [], lineages: [], holds: [], obstacles: [], soundAgeMax: null },
    accepted: new Set(),
    ...changes,
    rules: { ...noRules, ...changes.rules },
  };
}
