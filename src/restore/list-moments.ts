import type { Timestamp } from '../postgres/index.ts';
import {
  type LandmarkReader,
  type LandmarkSummary,
  type LsnRange,
  pathInLineage,
  storedOnPath,
} from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import type { ChosenHistory } from './choose-history.ts';
import { type Moment, momentOf } from './moment.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import { type ReachableRange, reachableRanges } from './select-snapshot.ts';
import { locateTarget } from './stages/locate-target.ts';
import { landmarksOf } from './wal-records.ts';
import type { WalRoute } from './wal-route.ts';

/** What shall be listed. */
export interface MomentQuestion {
  readonly repository: Repository;
  readonly history: ChosenHistory;
  /** In the middle of the list; the end of the WAL when it is the latest. */
  readonly around: RecoveryTarget;
  /** So many before it, and so many from it on; with bounds, so many in all. */
  readonly count: number;
  /** Nothing before and nothing behind, by time or by position. */
  readonly from?: RecoveryTarget;
  readonly to?: RecoveryTarget;
  /** Only commits that removed files. */
  readonly removedFiles?: boolean;
  /** Only restore points, or only those of a name. */
  readonly restorePoints?: boolean;
}

/** The list, in the order of the WAL. */
export interface ListedMoments {
  readonly route: WalRoute;
  /** Where what was asked for lies: everything before it happened before. */
  readonly position: bigint;
  readonly before: readonly Moment[];
  /** From the position on. */
  readonly after: readonly Moment[];
  /** Whether there are more on either side. */
  readonly hasMoreBefore: boolean;
  readonly hasMoreAfter: boolean;
  /** Positions to which some snapshot leads. */
  readonly reachable: readonly ReachableRange[];
}

/** Each window that is looked through backwards is so many times as long as the one behind it. */
const WINDOW_GROWTH = 4n;

/**
 * Lists what happened around a moment, from the commit index where there is one.
 *
 * Errors: those of `locateTarget`; WAL_RECORD_UNREADABLE and OBJECT_DAMAGED where WAL without an index cannot be read; those of the store.
 */
export async function listMoments(question: MomentQuestion): Promise<ListedMoments> {
  const { repository, history, count } = question;
  const { route } = history;
  const runs = storedOnPath(route.lineage, pathInLineage(route.lineage, route.timeline));
  const [floor, ceiling] = [runs[0]?.start ?? 0n, runs.at(-1)?.end ?? 0n];
  const from = question.from === undefined ? floor : await startOf(question, question.from, runs, ceiling);
  const to = question.to === undefined ? ceiling : await endOf(question, question.to, runs, ceiling);
  const isBounded = question.from !== undefined || question.to !== undefined;
  const asked =
    isBounded && question.around.kind === 'latest' ? from : await positionOf(question, question.around, runs, ceiling);
  const position = maxLsn(from, minLsn(asked, to));
  const filter = filterOf(question);
  // One more than wanted tells whether there are more.
  const before = await collectBefore(landmarksOf(repository, route), runs, {
    from,
    to: position,
    filter,
    count: count + 1,
  });
  const after = await collectAfter(landmarksOf(repository, route), runs, {
    from: position,
    to,
    filter,
    count: count + 1,
  });
  return {
    route,
    position,
    before: before.slice(-count),
    after: after.slice(0, count),
    hasMoreBefore: before.length > count,
    hasMoreAfter: after.length > count,
    reachable: reachableRanges(history.snapshots, route),
  };
}

/** What is wanted, of single moments and of summaries. */
interface Filter {
  readonly moment: (moment: Moment) => boolean;
  readonly summary: (summary: LandmarkSummary) => boolean;
}

function filterOf({ removedFiles, restorePoints }: MomentQuestion): Filter {
  if (restorePoints === true) {
    return {
      moment: ({ kind }) => kind === 'restore-point' || kind === 'gap',
      summary: (summary) => summary.restorePoints > 0,
    };
  }
  if (removedFiles === true) {
    return {
      moment: (moment) =>
        (moment.kind === 'commit' && moment.removedFiles.length > 0) ||
        moment.kind === 'gap' ||
        moment.kind === 'database-dropped',
      summary: ({ removals, others }) => removals > 0 || others > 0,
    };
  }
  return {
    moment: () => true,
    summary: ({ commits, prepared, restorePoints: points, others }) => commits + prepared + points + others > 0,
  };
}

/** Where a target lies: a time before the first end of a transaction that is later, as recovery would stop; all else at its record. */
async function positionOf(
  question: MomentQuestion,
  target: RecoveryTarget,
  runs: readonly LsnRange[],
  otherwise: bigint,
): Promise<bigint> {
  const { repository, history } = question;
  const located = await locateTarget({
    ...{ repository, route: history.route, otherRoutes: history.routes, target, exclusive: false },
  });
  switch (located.target.kind) {
    case 'lsn':
      return located.target.lsn;
    case 'time':
      return firstEndAfter(question, runs, located.target.at, otherwise);
    case 'immediate':
      return history.snapshots.at(-1)?.end ?? otherwise;
    case 'latest':
      return runs.at(-1)?.end ?? otherwise;
  }
}

/** A bound that is itself included. */
function startOf(
  question: MomentQuestion,
  target: RecoveryTarget,
  runs: readonly LsnRange[],
  ceiling: bigint,
): Promise<bigint> {
  if (target.kind === 'time') return firstEndAfter(question, runs, target.at - 1n, ceiling);
  return positionOf(question, target, runs, ceiling);
}

/** Behind a bound that is itself included. */
async function endOf(
  question: MomentQuestion,
  target: RecoveryTarget,
  runs: readonly LsnRange[],
  ceiling: bigint,
): Promise<bigint> {
  if (target.kind === 'time') return firstEndAfter(question, runs, target.at, ceiling);
  const position = await positionOf(question, target, runs, ceiling);
  return target.kind === 'before' || position >= ceiling ? position : position + 1n;
}

async function firstEndAfter(
  { repository, history }: MomentQuestion,
  runs: readonly LsnRange[],
  time: Timestamp,
  otherwise: bigint,
): Promise<bigint> {
  const mayHold = ({ ends }: LandmarkSummary) => ends !== null && ends.latest > time;
  for (const run of runs) {
    const reader = landmarksOf(repository, history.route);
    for await (const landmark of reader.read({ from: run.start, to: run.end, mayHold })) {
      if (landmark.kind === 'transaction' && landmark.transaction.at > time) return landmark.lsn;
    }
  }
  return otherwise;
}

interface Stretch {
  readonly from: bigint;
  readonly to: bigint;
  readonly filter: Filter;
  readonly count: number;
}

async function collectAfter(
  reader: LandmarkReader,
  runs: readonly LsnRange[],
  { from, to, filter, count }: Stretch,
): Promise<Moment[]> {
  const found: Moment[] = [];
  for (const [i, run] of runs.entries()) {
    const gap = gapBefore(runs, i);
    if (gap !== null && gap.lsn >= from && gap.lsn < to) found.push(gap);
    if (found.length >= count) break;
    const range = { from: run.start > from ? run.start : from, to: run.end };
    if (range.from >= range.to || range.from >= to) continue;
    for await (const moment of readMoments(reader, range, filter)) {
      if (moment.lsn >= to) break;
      found.push(moment);
      if (found.length >= count) break;
    }
  }
  return found.slice(0, count);
}

async function collectBefore(
  reader: LandmarkReader,
  runs: readonly LsnRange[],
  { from, to, filter, count }: Stretch,
): Promise<Moment[]> {
  let found: Moment[] = [];
  for (let i = runs.length - 1; i >= 0 && found.length < count; i--) {
    const run = runs[i]!;
    const floor = run.start > from ? run.start : from;
    let bytes = reader.segmentBytes;
    for (let end = run.end < to ? run.end : to; end > floor && found.length < count; bytes *= WINDOW_GROWTH) {
      const start = end - floor > bytes ? end - bytes : floor;
      const inWindow: Moment[] = [];
      // A record that begins in the window may end behind it.
      for await (const moment of readMoments(reader, { from: start, to: run.end }, filter)) {
        if (moment.lsn >= end) break;
        inWindow.push(moment);
        if (inWindow.length > count * 2) inWindow.splice(0, count);
      }
      found = [...inWindow, ...found];
      end = start;
    }
    const gap = gapBefore(runs, i);
    if (gap !== null && gap.lsn >= from && gap.lsn < to) found = [gap, ...found];
  }
  return found.slice(-count);
}

async function* readMoments(
  reader: LandmarkReader,
  range: { from: bigint; to: bigint },
  filter: Filter,
): AsyncGenerator<Moment, void> {
  for await (const landmark of reader.read({ ...range, mayHold: filter.summary })) {
    const moment = momentOf(landmark, reader.nextXid);
    if (moment !== null && filter.moment(moment)) yield moment;
  }
}

function maxLsn(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function minLsn(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function gapBefore(runs: readonly LsnRange[], i: number): Moment | null {
  const [before, run] = [runs[i - 1], runs[i]];
  return before === undefined || run === undefined ? null : { kind: 'gap', lsn: before.end, at: null, end: run.start };
}
