import type { Clock } from '../../../lib/index.ts';
import { segmentStartOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import type { LineageHeader, LineageParent } from '../lineage.ts';
import { minLsn } from '../lsn-ranges.ts';
import { FORK_NOT_KNOWN, findFork } from './find-fork.ts';
import { createLineage } from './lineage-keeper.ts';
import type { Link } from './link.ts';
import type { Persistence } from './persistence.ts';
import { pathOfServer } from './prepare-stream.ts';
import type { DivergedPlan } from './resume-plan.ts';
import { storedObjectsFrom } from './stored-objects.ts';

export interface ChildLineageOptions {
  readonly repository: Repository;
  readonly clock: Clock;
  readonly persistence: Persistence;
  readonly cluster: string;
  readonly link: Link;
  readonly keptFrom: bigint;
  /** The lineage that the server left, and what is known of where. */
  readonly left: LineageInventory;
  readonly diverged: DivergedPlan;
  readonly signal: AbortSignal;
}

/**
 * Finds where the server's WAL left a lineage, and begins the one in which it goes on (rule A4). `null` when the signal was given meanwhile: then
 * nothing was begun, and whoever comes next finds the same.
 */
export async function beginChildLineage(
  options: ChildLineageOptions,
): Promise<{ child: LineageHeader; parent: LineageParent } | null> {
  const { repository, clock, persistence, cluster, link, keptFrom, left, diverged, signal } = options;
  const forkLsn = diverged.forkLsn ?? (await locate(options));
  if (signal.aborted) return null;
  const { reason, forkTimeline } = diverged;
  const parent = { lineage: left.lineage, forkTimeline, forkLsn, reason };
  const startLsn = segmentStartOf(forkLsn === FORK_NOT_KNOWN ? keptFrom : forkLsn, link.segmentBytes);
  const { systemId: system, timeline: startTimeline } = link.identity;
  const beginning = { system, cluster, segmentBytes: link.segmentBytes, startTimeline, startLsn };
  const child = await persistence.run(() => createLineage(repository, beginning, parent, clock));
  return { child, parent };
}

/** A server that went back took its slot back, too: what it keeps for us begins before the fork. */
function locate({ repository, link, keptFrom, left, signal }: ChildLineageOptions): Promise<bigint> {
  const { timeline, flushLsn: until } = link.identity;
  const start = segmentStartOf(minLsn(keptFrom, until), link.segmentBytes);
  const stored = storedObjectsFrom(left, pathOfServer(link), start);
  return findFork({ repository, connection: link.connection, stored, timeline, start, until, signal });
}
