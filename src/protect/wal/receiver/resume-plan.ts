import { segmentNumberOf, segmentStartOf, type TimelineSwitch } from '../../../postgres/index.ts';
import type { LineageInventory } from '../inventory.ts';
import type { ForkReason } from '../lineage.ts';
import { type LsnRange, maxLsn, minLsn, unbrokenEnd } from '../lsn-ranges.ts';
import {
  newestTimeline,
  pathInLineage,
  storedOnPath,
  stretchOfSegment,
  type TimelineStretch,
  timelinePath,
} from '../timeline-path.ts';

/** What has to be known before it can be said where to go on. */
export interface ResumeFacts {
  readonly lineage: LineageInventory;
  readonly server: {
    readonly timeline: number;
    readonly flushLsn: bigint;
    /** False while the server is in recovery: then it may be behind without having lost anything. */
    readonly isPrimary: boolean;
    /** From the history file of its timeline; empty for timeline 1. */
    readonly switches: readonly TimelineSwitch[];
  };
  /** From here on the server keeps WAL for us: the slot's restart position, or where it stands when there is no slot. */
  readonly keptFrom: bigint;
  /** Where WAL is needed from; without it, from wherever what is stored ends. */
  readonly wantedFrom: bigint | null;
  /** The server said of the position that was planned before that it has no WAL from there any more. */
  readonly isStartGone: boolean;
  /** Timelines that were left before the end of what is stored, although no whole record lies beyond: nothing was lost there. */
  readonly harmlessTails: ReadonlySet<number>;
}

/** Where the stream begins. */
export interface StreamPlan {
  readonly kind: 'stream';
  readonly timeline: number;
  /** The start of a segment, as all that follows works by whole segments. */
  readonly start: bigint;
  /** Up to here WAL is stored from `start` on, and is compared. */
  readonly storedUntil: bigint;
  /** Where to begin when the server does not have `start` any more, and what will be missing then: perhaps only the proof, and no WAL. */
  readonly fallback: { readonly start: bigint; readonly gap: LsnRange } | null;
}

/** The server's history is not the stored one. */
export interface DivergedPlan {
  readonly kind: 'diverged';
  readonly reason: ForkReason;
  readonly forkTimeline: number;
  /** `null` when only comparing can tell. */
  readonly forkLsn: bigint | null;
}

/** A standby that has not yet reached what is stored on its timeline's way; it will. */
export interface BehindPlan {
  readonly kind: 'server-behind';
  readonly timeline: number;
  readonly until: bigint;
}

export type ResumePlan = StreamPlan | DivergedPlan | BehindPlan;

/**
 * Says where to go on, from the server's history and from what is stored (rules A4, A14). Pure: all that it needs is in `facts`.
 *
 * The stream begins at the start of the segment that holds the last stored byte, so that something is compared whenever something is
 * stored, and not before the segment from which the server keeps WAL. Only when the server keeps less than what follows the
 * stored WAL is it asked for more than it has promised, as it may have it still.
 */
export function planResume(facts: ResumeFacts): ResumePlan {
  const { lineage, server } = facts;
  const path = timelinePath(server.timeline, server.switches);
  if (lineage.timelines.size === 0 && lineage.histories.size === 0) {
    return fallBack(facts, path, [], planBeginning(facts, path));
  }
  const divergence = compareHistories(facts, path);
  if (divergence !== null) return divergence;

  const stored = storedOnPath(lineage, path);
  const run = findRun(stored, facts);
  if (run === null) return fallBack(facts, path, stored, planBeginning(facts, path));
  const storedEnd = stored.at(-1)?.end ?? run.end;
  if (server.isPrimary && server.flushLsn < storedEnd) {
    const forkTimeline = server.timeline;
    return { kind: 'diverged', reason: 'server-went-back', forkTimeline, forkLsn: null };
  }
  return fallBack(facts, path, stored, planFromRun(facts, path, run));
}

/** Begins where the server still has WAL, when it said that it has none from the position that would leave no gap. */
function fallBack(
  facts: ResumeFacts,
  path: readonly TimelineStretch[],
  stored: readonly LsnRange[],
  plan: StreamPlan,
): StreamPlan {
  if (plan.fallback === null || !facts.isStartGone) return plan;
  const { start } = plan.fallback;
  return { kind: 'stream', ...placeOf(facts, path, start), storedUntil: unbrokenEnd(stored, start), fallback: null };
}

/** There is nothing to join on to. */
function planBeginning(facts: ResumeFacts, path: readonly TimelineStretch[]): StreamPlan {
  const { header, timelines } = facts.lineage;
  const segmentStart = (lsn: bigint) => segmentStartOf(lsn, header.segmentBytes);
  const kept = segmentStart(minLsn(facts.keptFrom, facts.server.flushLsn));
  // A lineage that was begun at a fork, and by a receiver that came no further than that, begins there.
  const meant = timelines.size === 0 && header.parent !== null ? header.startLsn : kept;
  const start = segmentStart(facts.wantedFrom ?? meant);
  const fallback = kept > start ? { start: kept, gap: { start, end: kept } } : null;
  return { kind: 'stream', ...placeOf(facts, path, start), storedUntil: start, fallback };
}

function planFromRun(facts: ResumeFacts, path: readonly TimelineStretch[], run: LsnRange): StreamPlan {
  const { segmentBytes } = facts.lineage.header;
  const lastStored = segmentStartOf(run.end - 1n, segmentBytes);
  const kept = segmentStartOf(facts.keptFrom, segmentBytes);
  // A standby that lags may not have the segment that holds the last stored byte: it is asked for what it has.
  const reached = segmentStartOf(facts.server.flushLsn, segmentBytes);
  // Where the server keeps no more than what follows, it is asked for more than it has promised: without a byte to compare, a copy of the
  // server that writes other WAL would not be noticed.
  const isKept = kept < run.end;
  const start = minLsn(isKept ? maxLsn(lastStored, kept) : lastStored, reached);
  const fallback = isKept ? null : { start: kept, gap: { start: run.end, end: kept } };
  return { kind: 'stream', ...placeOf(facts, path, start), storedUntil: run.end, fallback };
}

function placeOf(facts: ResumeFacts, path: readonly TimelineStretch[], start: bigint) {
  const { segmentBytes } = facts.lineage.header;
  return { start, timeline: stretchOfSegment(path, segmentNumberOf(start, segmentBytes), segmentBytes).timeline };
}

/** The stored run to go on with: the one at the position that is needed or kept, else the last one before what the server keeps. */
function findRun(stored: readonly LsnRange[], facts: ResumeFacts): LsnRange | null {
  const at = facts.wantedFrom ?? facts.keptFrom;
  const holding = stored.find((range) => range.start <= at && at <= range.end);
  if (holding !== undefined) return holding;
  if (facts.wantedFrom !== null) return null;
  return stored.findLast((range) => range.end < at) ?? null;
}

/** Walks both histories from the oldest timeline on; `null` when the server's goes on from the stored one. */
export function compareHistories(
  facts: ResumeFacts,
  server: readonly TimelineStretch[],
): DivergedPlan | BehindPlan | null {
  const own = ownPath(facts.lineage, server);
  for (let i = 0; ; i++) {
    const [ours, theirs] = [own[i], server[i]];
    if (ours === undefined || theirs === undefined || ours.timeline !== theirs.timeline) {
      const last = own[i - 1];
      const forkTimeline = last?.timeline ?? facts.lineage.header.startTimeline;
      return { kind: 'diverged', reason: 'timeline-forked-earlier', forkTimeline, forkLsn: last?.to ?? 0n };
    }
    const { timeline } = ours;
    if (ours.to === null) return theirs.to === null ? null : checkSwitch(facts, timeline, theirs.to);
    if (theirs.to === null) return checkOlderTimeline(facts, timeline, ours.to);
    if (ours.to !== theirs.to) {
      const forkLsn = minLsn(ours.to, theirs.to);
      return { kind: 'diverged', reason: 'timeline-forked-earlier', forkTimeline: timeline, forkLsn };
    }
  }
}

/** The stored way. Where its history file is damaged, the server's word on the same timeline has to do: it cannot be stored again. */
function ownPath(lineage: LineageInventory, server: readonly TimelineStretch[]): readonly TimelineStretch[] {
  const newest = newestTimeline(lineage);
  const known = server.findIndex((stretch) => stretch.timeline === newest);
  if (newest === 1 || lineage.histories.has(newest) || known < 0) return pathInLineage(lineage, newest);
  return [...server.slice(0, known), { ...server[known]!, to: null }];
}

/** The server has left our newest timeline at `switchLsn`: fine, unless we hold more of it than the server ever used. */
function checkSwitch(facts: ResumeFacts, timeline: number, switchLsn: bigint): DivergedPlan | null {
  const storedEnd = facts.lineage.timelines.get(timeline)?.ranges.at(-1)?.end ?? 0n;
  if (storedEnd <= switchLsn || facts.harmlessTails.has(timeline)) return null;
  return { kind: 'diverged', reason: 'timeline-forked-earlier', forkTimeline: timeline, forkLsn: switchLsn };
}

/** The server is on a timeline that the stored history left at `switchLsn`. */
function checkOlderTimeline(facts: ResumeFacts, timeline: number, switchLsn: bigint): DivergedPlan | BehindPlan {
  const { isPrimary, flushLsn } = facts.server;
  if (!isPrimary && flushLsn <= switchLsn) return { kind: 'server-behind', timeline, until: switchLsn };
  const forkLsn = minLsn(switchLsn, flushLsn);
  return { kind: 'diverged', reason: 'older-timeline', forkTimeline: timeline, forkLsn };
}
