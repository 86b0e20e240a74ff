import { assert } from '../../lib/index.ts';
import type { PolicyInput, SnapshotFacts } from './facts.ts';

/** As far as clocks may differ, and more than any that are kept in time do. */
export const SKEW_MS = 15 * 60_000;

/** A snapshot with what the rules go by. */
export interface JudgedSnapshot {
  readonly facts: SnapshotFacts;
  /** When it was taken, as far as that is believed; milliseconds since 1970. */
  readonly time: number;
  /** Attested, and nothing is known against it. */
  readonly isSound: boolean;
  /** Dated behind now: it stands for nothing until then. */
  readonly isAhead: boolean;
}

/** Every snapshot, the newest first; those of one moment by their ids, so that everybody decides the same. */
export function judgeSnapshots({ snapshots, accepted, now, cluster }: PolicyInput): JudgedSnapshot[] {
  const judged = snapshots.map((facts) => {
    assert(facts.cluster === cluster, 'a decision is about the snapshots of one cluster');
    const time = accepted.has(facts.id) ? Math.min(facts.completedAt, facts.storedAt) : facts.storedAt;
    const isAhead = time > now + SKEW_MS;
    return { facts, time, isAhead, isSound: !isAhead && facts.level !== null && facts.doubts.length === 0 };
  });
  assert(new Set(snapshots.map(({ id }) => id)).size === snapshots.length, 'a snapshot is given once');
  return judged.sort((a, b) => b.time - a.time || (a.facts.id < b.facts.id ? 1 : -1));
}
