import type { Clock } from '../../../lib/index.ts';
import { segmentStartOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { LineageInventory, WalInventory } from '../inventory.ts';
import { rankLineages } from '../lineage-candidates.ts';
import { minLsn } from '../lsn-ranges.ts';
import { readReceiverStatuses, STATUS_FRESH_MS, type StoredReceiverStatus } from '../receiver-status.ts';
import { isWalDamage } from '../stored-wal.ts';
import { newestTimeline, type TimelineStretch, timelinePath } from '../timeline-path.ts';
import { serverBehind } from './alarms.ts';
import type { Fork } from './fork-search.ts';
import { holdsRecordBehind, openLineage, storeHistories } from './lineage-keeper.ts';
import type { Link } from './link.ts';
import type { Persistence } from './persistence.ts';
import {
  type BehindPlan,
  type DivergedPlan,
  planResume,
  type ResumeFacts,
  type ResumePlan,
  type StreamPlan,
} from './resume-plan.ts';

/** How often it is looked whether another receiver has spoken again. */
const ANOTHER_POLL_MS = 500;

export interface PrepareOptions {
  readonly repository: Repository;
  readonly clock: Clock;
  readonly persistence: Persistence;
  readonly cluster: string;
  /** Our own id, to be told from others that write into the same lineage. */
  readonly receiver: string;
  readonly link: Link;
  /** From here on the server keeps WAL for us. */
  readonly keptFrom: bigint;
  readonly wantedFrom: bigint | null;
  readonly isStartGone: boolean;
  readonly signal: AbortSignal;
  /** The lineage that this receiver followed last. */
  readonly preferred: string | null;
  /** Lineages that are not the server's. */
  readonly left: ReadonlyMap<string, Fork>;
  /** Told before anything is planned, as a plan may fail on what is stored. */
  readonly onInventory: (inventory: WalInventory) => void;
}

/** Where WAL is to go and from where on; or where the server left what is stored. */
export type PreparedStream =
  | {
      readonly kind: 'ready';
      readonly lineage: LineageInventory;
      readonly plan: StreamPlan;
      /** True when it was begun just now. */
      readonly created: boolean;
    }
  /** No lineage of the cluster is the server's. */
  | { readonly kind: 'diverged'; readonly forks: readonly Fork[] };

/**
 * Chooses the first lineage that the server does not contradict, or begins one where there is none, plans where to go on, and stores the history
 * files that must be there first.
 * Errors: WAL_SERVER_BEHIND, and those of what it calls.
 */
export async function prepareStream(options: PrepareOptions): Promise<PreparedStream> {
  const { repository, clock, persistence, cluster, link, keptFrom, wantedFrom } = options;
  const { systemId: system, timeline: startTimeline } = link.identity;
  const startLsn = segmentStartOf(wantedFrom ?? keptFrom, link.segmentBytes);
  const beginning = { system, cluster, segmentBytes: link.segmentBytes, startTimeline, startLsn };
  const opened = await persistence.run(() => openLineage(repository, beginning, clock));
  options.onInventory(opened.inventory);
  const forks: Fork[] = [...options.left.values()];
  const streams: { readonly candidate: LineageInventory; readonly plan: StreamPlan }[] = [];
  let behind: BehindPlan | null = null;
  for (const candidate of rankLineages(opened.inventory, { system, cluster }, options.preferred)) {
    if (options.left.has(candidate.lineage) || candidate.header.segmentBytes !== link.segmentBytes) continue;
    const plan = await planWithTails(options, opened.inventory, candidate);
    if (plan.kind === 'server-behind') behind ??= plan;
    if (plan.kind === 'diverged') forks.push({ left: candidate, diverged: plan });
    if (plan.kind === 'stream') streams.push({ candidate, plan });
  }
  for (const { candidate, plan } of orderStreams(options, streams)) {
    const left = await leaveToAnother(options, candidate);
    if (left !== null) {
      forks.push({ left: candidate, diverged: left });
      continue;
    }
    // Invariant 2: no WAL of a timeline before its history.
    const lineage = await persistence.run(() => storeHistories(repository, candidate, link));
    return { kind: 'ready', lineage, plan, created: opened.created && opened.lineage.lineage === lineage.lineage };
  }
  if (behind !== null) throw serverBehind(behind.timeline, behind.until);
  return { kind: 'diverged', forks };
}

/**
 * Those first in which stored bytes will be compared: that tells whose the WAL is. A lineage in which nothing will be is taken only when the server was
 * not found to be another one than that of some lineage, or when it is known to be the server's, or has no WAL: else WAL of two servers could mix.
 */
function orderStreams<Stream extends { readonly candidate: LineageInventory; readonly plan: StreamPlan }>(
  { preferred, left }: PrepareOptions,
  streams: readonly Stream[],
): Stream[] {
  const isCompared = ({ plan }: Stream) => plan.storedUntil > plan.start && plan.fallback === null;
  const mayGoUnproved = ({ candidate }: Stream) =>
    left.size === 0 || candidate.lineage === preferred || candidate.timelines.size === 0;
  return [...streams.filter(isCompared), ...streams.filter((each) => !isCompared(each) && mayGoUnproved(each))];
}

/** The way through the timelines that leads to the server. */
export function pathOfServer(link: Link): TimelineStretch[] {
  return timelinePath(link.identity.timeline, link.history?.switches ?? []);
}

/** Plans; when the server left a timeline before the end of what is stored of it, looks whether anything whole lies beyond. */
export async function planWithTails(
  options: PrepareOptions,
  inventory: WalInventory,
  lineage: LineageInventory,
): Promise<ResumePlan> {
  const { link, keptFrom, wantedFrom, isStartGone } = options;
  const { timeline, flushLsn } = link.identity;
  const server = { timeline, flushLsn, isPrimary: link.isPrimary, switches: link.history?.switches ?? [] };
  const facts: ResumeFacts = { lineage, server, keptFrom, wantedFrom, isStartGone, harmlessTails: new Set() };
  const plan = planResume(facts);
  if (plan.kind !== 'diverged' || plan.reason !== 'timeline-forked-earlier' || plan.forkLsn === null) return plan;
  const { forkTimeline, forkLsn: lsn } = plan;
  const end = lineage.timelines.get(forkTimeline)?.ranges.at(-1)?.end ?? lsn;
  const tail = { lineage: lineage.lineage, timeline: forkTimeline, lsn, end };
  if (await isRecordLost(options, inventory, tail)) return plan;
  return planResume({ ...facts, harmlessTails: new Set([forkTimeline]) });
}

/**
 * A server that was promoted goes on in the lineage, unless another receiver still brings WAL of the timeline that it left: then both go on, as
 * after the promotion of a copy, and what comes on the older timeline would be on no way to the newest. The one that left has to go.
 */
async function leaveToAnother(options: PrepareOptions, lineage: LineageInventory): Promise<DivergedPlan | null> {
  const forkTimeline = newestTimeline(lineage);
  const left = options.link.history?.switches.find(({ timeline }) => timeline === forkTimeline);
  if (left === undefined || lineage.timelines.size === 0) return null;
  if (!(await isAnotherAlive(options, lineage))) return null;
  const storedEnd = lineage.timelines.get(forkTimeline)?.ranges.at(-1)?.end ?? left.switchLsn;
  return {
    kind: 'diverged',
    reason: 'timeline-forked-earlier',
    forkTimeline,
    forkLsn: minLsn(left.switchLsn, storedEnd),
  };
}

/**
 * Whether another receiver writes into the lineage. The last word of one that was killed a moment ago, perhaps together with the server, looks like
 * that of one that lives: so it is waited for until it speaks again, or until its silence tells.
 */
async function isAnotherAlive(options: PrepareOptions, lineage: LineageInventory): Promise<boolean> {
  const { repository, persistence, receiver, clock, signal } = options;
  const findOthers = async (): Promise<StoredReceiverStatus[]> => {
    const statuses = await persistence.run(() => readReceiverStatuses(repository));
    return statuses.filter(
      (status) =>
        status.lineage === lineage.lineage &&
        status.receiver !== receiver &&
        status.running &&
        status.ageMs < STATUS_FRESH_MS,
    );
  };
  const before = new Map((await findOthers()).map((status) => [status.receiver, status.writtenAt]));
  for (let others = before.size; others > 0 && !signal.aborted; ) {
    await clock.sleep(ANOTHER_POLL_MS, signal);
    const now = await findOthers();
    if (now.some((status) => status.writtenAt !== before.get(status.receiver))) return true;
    others = now.length;
  }
  return false;
}

async function isRecordLost(
  { repository, persistence }: PrepareOptions,
  inventory: WalInventory,
  tail: { lineage: string; timeline: number; lsn: bigint; end: bigint },
): Promise<boolean> {
  try {
    return await persistence.run(() => holdsRecordBehind(repository, inventory, tail));
  } catch (error) {
    // What cannot be read may have held a record: the safe answer is a lineage of its own.
    if (isWalDamage(error)) return true;
    throw error;
  }
}
