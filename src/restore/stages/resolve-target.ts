import { messageOf } from '../../lib/index.ts';
import { formatLsn, formatTimestamp, type Timestamp } from '../../postgres/index.ts';
import { readDoubts } from '../../protect/backup/index.ts';
import { type LandmarkSummary, resolveTime, type TransactionLandmark } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import type { Candidate, Rejection, SnapshotChoice } from '../select-snapshot.ts';
import {
  findLastCommit,
  findLastRecord,
  findRecordFrom,
  isWalUnreadable,
  landmarksOf,
  type RecordPlace,
} from '../wal-records.ts';
import { endRouteAt, historyOf, inventoryOf, type WalRoute } from '../wal-route.ts';
import { describeRecord } from './describe-record.ts';
import type { PlacedTarget } from './locate-target.ts';

/** Where recovery shall stop: a record, and whether it is replayed itself. */
export interface ResolvedTarget {
  readonly candidate: Candidate;
  /** Ends on the timeline of the record. */
  readonly route: WalRoute;
  readonly recordLsn: bigint;
  readonly inclusive: boolean;
  /** WAL up to here must be there: the record itself, also when it is not replayed. */
  readonly neededEnd: bigint;
  /** Where recovery will be: the end of the last record that is replayed. */
  readonly reachedLsn: bigint;
  /** The last commit that is replayed; null when there is none behind the end of the base backup. */
  readonly lastCommit: TransactionLandmark | null;
  /** What a person should know of how the target was read. */
  readonly notes: readonly string[];
}

/** What became of the candidates: the first that reaches the target, and why those before it did not. */
export interface TargetResolution {
  readonly resolved: ResolvedTarget | null;
  readonly rejected: readonly Rejection[];
}

/** A target as asked for. */
export interface TargetQuestion {
  readonly repository: Repository;
  readonly route: WalRoute;
  readonly target: PlacedTarget;
  readonly exclusive: boolean;
}

type FoundStop = Omit<ResolvedTarget, 'candidate' | 'route'>;

/** What a candidate gives: a place to stop, or the reason why it cannot serve. */
type Attempt = FoundStop | { readonly reason: string };

/**
 * Finds the record at which recovery shall stop, always by position (rule D1), from the first candidate that can reach it. One whose WAL
 * turns out to be damaged is passed over with that reason. One of which a cross-check said that it may lack changes (rule A9) serves only where no
 * other one does.
 *
 * Errors: those of the store, when they say nothing about what is stored.
 */
export async function resolveTarget(question: TargetQuestion, choice: SnapshotChoice): Promise<TargetResolution> {
  const rejected: Rejection[] = [...choice.rejected];
  const readingDoubts = readDoubts(question.repository);
  readingDoubts.catch(() => {}); // Awaited below, unless something before it fails.
  let lastResort: ResolvedTarget | null = null;
  for (const candidate of choice.candidates) {
    const { snapshot } = candidate;
    const attempt = await attemptUnlessDamaged(question, candidate);
    if ('reason' in attempt) {
      rejected.push({ snapshot, reason: attempt.reason });
      continue;
    }
    const resolved = resolve(question, candidate, attempt);
    if (!(await readingDoubts).isAbout(snapshot.id)) return { resolved, rejected };
    rejected.push({ snapshot, reason: 'a cross-check found that it may lack changes' });
    lastResort ??= { ...resolved, notes: [...resolved.notes, IN_DOUBT] };
  }
  return {
    resolved: lastResort,
    rejected: rejected.filter(({ snapshot }) => snapshot !== lastResort?.candidate.snapshot),
  };
}

const IN_DOUBT =
  'A cross-check found that this snapshot may lack changes. It is taken as it was named, or as no other one leads to the target: check the data after the restore.';

function resolve(question: TargetQuestion, candidate: Candidate, found: FoundStop): ResolvedTarget {
  const stop = { lsn: found.recordLsn, endLsn: found.neededEnd };
  return { ...found, candidate, route: endRouteAt(question.route, stop) };
}

async function attemptUnlessDamaged(question: TargetQuestion, candidate: Candidate): Promise<Attempt> {
  try {
    const attempt = await resolveFrom(question, candidate);
    if ('reason' in attempt || attempt.reachedLsn >= candidate.snapshot.end) return attempt;
    return { reason: `it is complete only at ${formatLsn(candidate.snapshot.end)}, after the target` };
  } catch (error) {
    if (!isWalUnreadable(error)) throw error;
    return { reason: `WAL behind it is damaged: ${messageOf(error)}` };
  }
}

function resolveFrom(question: TargetQuestion, candidate: Candidate): Promise<Attempt> {
  switch (question.target.kind) {
    case 'latest':
      return stopAtEnd(question, candidate, []);
    case 'immediate':
      return stopWhenConsistent(question, candidate);
    case 'lsn':
      return stopAtLsn(question, candidate, question.target.lsn);
    case 'time':
      return stopAtTime(question, candidate, question.target.at);
  }
}

/** Everything that is stored, up to and with the last whole record. */
async function stopAtEnd(question: TargetQuestion, candidate: Candidate, notes: string[]): Promise<Attempt> {
  const last = await findLastRecord(question.repository, question.route, candidate.snapshot.start);
  if (last === null) return { reason: 'no whole record of its WAL is stored' };
  return stopAfter(question, candidate, last, notes);
}

/** After the record with whose end the base backup is consistent; a backup of a standby may name a position inside a record. */
async function stopWhenConsistent(question: TargetQuestion, candidate: Candidate): Promise<Attempt> {
  const { end } = candidate.snapshot;
  const found = await findRecordFrom(question.repository, question.route, end, searchRange(candidate));
  const record = found.before !== null && found.before.endLsn >= end ? found.before : found.record;
  if (record === null) return { reason: `the WAL ends before it is consistent at ${formatLsn(end)}` };
  return stopAfter(question, candidate, record, [
    'This is the earliest position at which the base backup is consistent.',
  ]);
}

/** As PostgreSQL reads `recovery_target_lsn`: the first record that begins there or later is the last one, or the first left out. */
async function stopAtLsn(question: TargetQuestion, candidate: Candidate, lsn: bigint): Promise<Attempt> {
  const found = await findRecordFrom(question.repository, question.route, lsn, searchRange(candidate));
  if (found.record === null) {
    const note = `No record begins at ${formatLsn(lsn)} or later: all that is stored is replayed.`;
    return stopAtEnd(question, candidate, [note]);
  }
  const notes =
    found.record.lsn === lsn
      ? []
      : [`No record begins at ${formatLsn(lsn)}; the next one is at ${formatLsn(found.record.lsn)}.`];
  const what = await describeRecord(question.repository, question.route, found.record);
  if (!question.exclusive)
    return stopAfter(question, candidate, found.record, [...notes, `The last thing that is replayed is ${what}.`]);
  const leftOut = `The first thing that is left out is ${what}.`;
  return stopBefore(question, candidate, { record: found.record, before: found.before }, [...notes, leftOut]);
}

/** Before the first commit or abort that is later than the time, as PostgreSQL does with `recovery_target_time`. */
async function stopAtTime(question: TargetQuestion, candidate: Candidate, at: Timestamp): Promise<Attempt> {
  const { repository, route } = question;
  const { snapshot } = candidate;
  // Exclusive, a commit of exactly that moment is left out; clocks of commits count microseconds.
  const time = question.exclusive ? at - 1n : at;
  const tooLate = await whyBackupIsTooLate(question, candidate, time);
  if (tooLate !== null) return { reason: tooLate };
  const meaning = await resolveTime(repository, inventoryOf(route), { ...historyOf(route), from: snapshot.end, time });
  if (meaning.kind === 'too-late') {
    const latest = meaning.latest === null ? 'at no known time' : `at ${formatTimestamp(meaning.latest)}`;
    return { reason: `what is stored behind it ends ${latest}, before the target` };
  }
  if (meaning.kind === 'at-end') {
    const last =
      meaning.lastCommit === null ? 'the end of the base backup' : formatTimestamp(meaning.lastCommit.transaction.at);
    return stopAtEnd(question, candidate, [`Nothing was committed between ${last} and ${formatTimestamp(at)}.`]);
  }
  const found = await findRecordFrom(repository, route, meaning.lsn, searchRange(candidate));
  return stopBefore(question, candidate, { record: meaning.stop, before: found.before }, describeSkipped(meaning, at));
}

/**
 * A backup that began after the time, or that saw a transaction end after it, already holds what shall not be there. The server's own clock
 * decides: that of the checkpoint from which the backup starts.
 */
async function whyBackupIsTooLate(
  question: TargetQuestion,
  candidate: Candidate,
  time: Timestamp,
): Promise<string | null> {
  const { repository, route } = question;
  const { snapshot } = candidate;
  let begunAt: Timestamp | null = null;
  const mayHold = ({ others, ends }: LandmarkSummary) => others > 0 || (ends !== null && ends.latest > time);
  const range = { from: snapshot.start, to: candidate.reach, mayHold };
  for await (const landmark of landmarksOf(repository, route).read(range)) {
    if (landmark.lsn >= snapshot.end) break;
    if (
      landmark.kind === 'event' &&
      landmark.event.kind === 'checkpoint' &&
      landmark.event.redoLsn === snapshot.start
    ) {
      begunAt = landmark.event.at;
    }
    if (landmark.kind === 'transaction' && landmark.transaction.at > time) {
      return `it holds a transaction of ${formatTimestamp(landmark.transaction.at)}, after the target`;
    }
  }
  if (begunAt === null) return 'the checkpoint from which it starts is not in its WAL';
  // The checkpoint's clock counts whole seconds, so that commits of the same second may be in the backup already.
  if (time >= begunAt + MICROSECONDS_PER_SECOND) return null;
  if (time < begunAt) return `it began at ${formatTimestamp(begunAt)}, after the target`;
  return `it began in the second of ${formatTimestamp(begunAt)}, in which the target lies too: it may hold what came after the target`;
}

const MICROSECONDS_PER_SECOND = 1_000_000n;

async function stopAfter(
  { repository, route }: TargetQuestion,
  { snapshot, reach }: Candidate,
  record: RecordPlace,
  notes: string[],
): Promise<Attempt> {
  const { lsn: recordLsn, endLsn } = record;
  const lastCommit = await findLastCommit(repository, route, { from: snapshot.end, to: endLsn });
  return { recordLsn, inclusive: true, neededEnd: neededEndOf(record, reach), reachedLsn: endLsn, lastCommit, notes };
}

async function stopBefore(
  question: TargetQuestion,
  candidate: Candidate,
  { record, before }: { record: RecordPlace; before: RecordPlace | null },
  notes: string[],
): Promise<Attempt> {
  const { repository, route } = question;
  const { snapshot, reach } = candidate;
  if (before === null) return { reason: `it is complete only at ${formatLsn(snapshot.end)}, after the target` };
  // Left out on the first record of a timeline, the server would leave that timeline where it began: the older one says the same plainly.
  if (endRouteAt(route, before).timeline !== endRouteAt(route, record).timeline) {
    return stopAfter(question, candidate, before, notes);
  }
  const range = { from: snapshot.end, to: record.lsn };
  const lastCommit = await findLastCommit(repository, route, range);
  return {
    recordLsn: record.lsn,
    inclusive: false,
    neededEnd: neededEndOf(record, reach),
    reachedLsn: before.endLsn,
    lastCommit,
    notes,
  };
}

/** A switch of segments ends where its segment does, and what it leaves free is zeros: a receiver may have been stopped before they came. */
function neededEndOf({ endLsn }: RecordPlace, reach: bigint): bigint {
  return endLsn < reach ? endLsn : reach;
}

function searchRange({ snapshot, reach }: Candidate): { floor: bigint; reach: bigint } {
  return { floor: snapshot.start, reach };
}

/** So many transactions are named; the others are only counted. */
const SKIPPED_SHOWN_MAX = 5;

function describeSkipped(
  {
    skipped,
    skippedCount,
    isSkippedCounted,
  }: { skipped: readonly TransactionLandmark[]; skippedCount: number; isSkippedCounted: boolean },
  at: Timestamp,
): string[] {
  if (skippedCount === 0) return [];
  const shown = skipped
    .slice(0, SKIPPED_SHOWN_MAX)
    .map(({ transaction }) => `${transaction.xid} (${formatTimestamp(transaction.at)})`);
  const left = skippedCount - shown.length;
  const more = isSkippedCounted ? (left > 0 ? ` and ${left} more` : '') : ` and ${left > 0 ? left : 'perhaps'} more`;
  return [
    `Commit times are not in order: ${skippedCount === 1 ? 'a transaction' : 'transactions'} of before ${formatTimestamp(at)} stand behind the position and will not be there: ${shown.join(', ')}${more}.`,
  ];
}
