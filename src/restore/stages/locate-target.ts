import { HoldfastError, messageOf } from '../../lib/index.ts';
import { formatLsn, formatTimestamp } from '../../postgres/index.ts';
import {
  findTransaction,
  type LsnRange,
  pathInLineage,
  storedOnPath,
  stretchAt,
  type TransactionMention,
} from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { formatRecoveryTarget, type RecoveryTarget } from '../recovery-target.ts';
import { shortId } from '../snapshot-facts.ts';
import { isWalUnreadable, landmarksOf } from '../wal-records.ts';
import { historyOf, inventoryOf, type WalRoute } from '../wal-route.ts';
import { describeNeighbours } from './describe-neighbours.ts';

/** A target that says by itself where it is. */
export type PlacedTarget = Extract<RecoveryTarget, { kind: 'latest' | 'immediate' | 'time' | 'lsn' }>;

/** What was asked for, as a place. */
export interface LocatedTarget {
  readonly target: PlacedTarget;
  readonly exclusive: boolean;
  /** What a person should know of how it was found. */
  readonly notes: readonly string[];
}

/** Where to look. */
export interface LocateQuestion {
  readonly repository: Repository;
  /** The history on which the restore goes. */
  readonly route: WalRoute;
  /** All histories of the cluster: what is not found is looked for there, so that one hears of it. */
  readonly otherRoutes: readonly WalRoute[];
  readonly target: RecoveryTarget;
  readonly exclusive: boolean;
}

/**
 * Finds the position that a transaction or a name means, in all WAL of the history that is stored, also where no snapshot leads to: that is then
 * said when the snapshot is chosen.
 *
 * Errors: RESTORE_TARGET_NOT_FOUND with the reason, and where else it is; RESTORE_TARGET_AMBIGUOUS with all that it could mean; those of the
 * store.
 */
export async function locateTarget(question: LocateQuestion): Promise<LocatedTarget> {
  const { target, exclusive } = question;
  switch (target.kind) {
    case 'before':
      return { target: { kind: 'lsn', lsn: target.lsn }, exclusive: true, notes: [] };
    case 'xid':
      return locateTransaction(question, target);
    case 'name':
      return locateRestorePoint(question, target);
    default:
      return { target, exclusive, notes: [] };
  }
}

type XidTarget = Extract<RecoveryTarget, { kind: 'xid' }>;
type NameTarget = Extract<RecoveryTarget, { kind: 'name' }>;

// Transactions.

async function locateTransaction(question: LocateQuestion, target: XidTarget): Promise<LocatedTarget> {
  const { repository, route, exclusive } = question;
  const { found, unread } = await collectOn(route, (range) => mentionsOn(repository, route, range, target));
  const commits = found.filter(isCommitOf);
  if (commits.length > 1) throw ambiguousTransaction(target, commits);
  const [commit] = commits;
  if (commit === undefined) throw await transactionNotFound(question, target, found, unread);
  const { lsn, endLsn } = commit.landmark;
  const notes = await describeNeighbours(repository, route, { lsn, endLsn, xid: target.xid, fullXid: commit.fullXid });
  return { target: { kind: 'lsn', lsn }, exclusive, notes: [...describeUnread(unread), ...notes] };
}

async function mentionsOn(
  repository: Repository,
  route: WalRoute,
  range: LsnRange,
  { xid, epoch }: XidTarget,
): Promise<TransactionMention[]> {
  const question = { ...historyOf(route), from: range.start, to: range.end, xid };
  const mentions = await findTransaction(repository, inventoryOf(route), question);
  // A number of which no checkpoint tells the epoch may be the one that is meant.
  return mentions.filter(({ fullXid }) => epoch === null || fullXid === null || fullXid >> 32n === epoch);
}

function isCommitOf(mention: TransactionMention): mention is TransactionMention & {
  landmark: Extract<TransactionMention['landmark'], { kind: 'transaction' }>;
} {
  const { landmark, isSubtransaction } = mention;
  return !isSubtransaction && landmark.kind === 'transaction' && landmark.transaction.outcome === 'commit';
}

function ambiguousTransaction(
  target: XidTarget,
  commits: readonly (TransactionMention & { landmark: { kind: 'transaction' } })[],
): HoldfastError {
  const listed = commits.map(
    ({ landmark, fullXid }) =>
      `${fullXid === null ? `${target.xid}` : `${fullXid >> 32n}:${target.xid}`} committed at ${formatTimestamp(landmark.transaction.at)}, ${formatLsn(landmark.lsn)}`,
  );
  return new HoldfastError(
    'RESTORE_TARGET_AMBIGUOUS',
    `cannot tell which transaction "${formatRecoveryTarget(target)}" means`,
    {
      detail: `The numbers of transactions have come round: ${listed.join('; ')}.`,
      hints: commits.map(({ landmark, fullXid }) =>
        fullXid === null
          ? `Write --to ${formatLsn(landmark.lsn)}.`
          : `Write --to xid:${fullXid >> 32n}:${target.xid} or --to ${formatLsn(landmark.lsn)}.`,
      ),
    },
  );
}

async function transactionNotFound(
  question: LocateQuestion,
  target: XidTarget,
  found: readonly TransactionMention[],
  unread: readonly string[],
): Promise<HoldfastError> {
  const told = found.map(describeMention);
  const hints = found.flatMap(hintFor);
  if (found.length === 0) {
    told.push(
      `No WAL that is stored of this history ends or prepares a transaction ${target.xid}: it was still open, wrote nothing, or ended in WAL that is not stored.`,
    );
    const seen = new Set<bigint>();
    for (const other of question.otherRoutes) {
      const elsewhere = await collectOn(other, (range) => mentionsOn(question.repository, other, range, target));
      for (const mention of elsewhere.found) {
        // Routes that part behind it both have it.
        if (seen.has(mention.landmark.lsn)) continue;
        seen.add(mention.landmark.lsn);
        told.push(`On ${nameRoute(other, mention.landmark.lsn)}: ${describeMention(mention)}`);
        hints.push(...wayTo(other, mention.landmark.lsn));
      }
    }
  }
  if (found.length === 0) told.push(describeStored(question.route));
  return notFound(target, [...told, ...describeUnread(unread)], hints);
}

function describeMention({ landmark, isSubtransaction }: TransactionMention): string {
  const where = formatLsn(landmark.lsn);
  if (landmark.kind === 'prepared') {
    return `It was prepared as "${landmark.prepared.name}" at ${where} and neither committed nor rolled back in the WAL that is stored.`;
  }
  const { xid, outcome, at } = landmark.transaction;
  const end = `${outcome === 'commit' ? 'committed' : 'was rolled back'} at ${formatTimestamp(at)}, ${where}`;
  if (isSubtransaction) return `It is a subtransaction of transaction ${xid}, which ${end}.`;
  return `It ${end}${outcome === 'commit' ? '.' : ': nothing of it is to be brought back.'}`;
}

function hintFor({ landmark, isSubtransaction }: TransactionMention): string[] {
  if (landmark.kind === 'transaction' && isSubtransaction && landmark.transaction.outcome === 'commit') {
    return [`Write --to xid:${landmark.transaction.xid}, the transaction that it belongs to.`];
  }
  return [`To restore up to that record write --to ${formatLsn(landmark.lsn)}.`];
}

// Restore points.

interface FoundPoint {
  readonly lsn: bigint;
  readonly at: bigint;
}

async function locateRestorePoint(question: LocateQuestion, target: NameTarget): Promise<LocatedTarget> {
  const { repository, route, exclusive } = question;
  const { found, unread } = await collectOn(route, (range) => pointsOn(repository, route, range, target.name));
  if (found.length > 1) throw ambiguousPoint(target, found);
  const [point] = found;
  if (point === undefined) throw await pointNotFound(question, target, unread);
  return { target: { kind: 'lsn', lsn: point.lsn }, exclusive, notes: describeUnread(unread) };
}

async function pointsOn(repository: Repository, route: WalRoute, range: LsnRange, name: string): Promise<FoundPoint[]> {
  const points: FoundPoint[] = [];
  const mayHold = ({ restorePoints }: { restorePoints: number }) => restorePoints > 0;
  const question = { from: range.start, to: range.end, mayHold };
  for await (const landmark of landmarksOf(repository, route).read(question)) {
    if (landmark.kind !== 'event' || landmark.event.kind !== 'restore-point' || landmark.event.name !== name) continue;
    points.push({ lsn: landmark.lsn, at: landmark.event.at });
  }
  return points;
}

function ambiguousPoint(target: NameTarget, points: readonly FoundPoint[]): HoldfastError {
  const listed = points.map(({ lsn, at }) => `${formatTimestamp(at)} at ${formatLsn(lsn)}`);
  return new HoldfastError('RESTORE_TARGET_AMBIGUOUS', `cannot tell which restore point "${target.name}" is meant`, {
    detail: `There are ${points.length} of this name: ${listed.join('; ')}. PostgreSQL itself would take the first that it meets.`,
    hints: points.map(({ lsn }) => `Write --to ${formatLsn(lsn)}.`),
  });
}

async function pointNotFound(
  question: LocateQuestion,
  target: NameTarget,
  unread: readonly string[],
): Promise<HoldfastError> {
  const { repository } = question;
  const told = ['No WAL that is stored of this history has a restore point of this name.'];
  const hints = ['Run `holdfast wal commits --restore-points` to see those that there are.'];
  const seen = new Set<bigint>();
  for (const other of question.otherRoutes) {
    const { found } = await collectOn(other, (range) => pointsOn(repository, other, range, target.name));
    for (const { lsn, at } of found) {
      if (seen.has(lsn)) continue;
      seen.add(lsn);
      told.push(`On ${nameRoute(other, lsn)} there is one of ${formatTimestamp(at)} at ${formatLsn(lsn)}.`);
      hints.push(...wayTo(other, lsn));
    }
  }
  told.push(describeStored(question.route));
  return notFound(target, [...told, ...describeUnread(unread)], hints);
}

// Both.

/** What is found in each unbroken run of a route; WAL that cannot be read is passed over and named. */
async function collectOn<Found>(
  route: WalRoute,
  find: (range: LsnRange) => Promise<Found[]>,
): Promise<{ found: Found[]; unread: string[] }> {
  const found: Found[] = [];
  const unread: string[] = [];
  for (const range of storedOnPath(route.lineage, pathInLineage(route.lineage, route.timeline))) {
    try {
      found.push(...(await find(range)));
    } catch (error) {
      if (!isWalUnreadable(error)) throw error;
      unread.push(`${formatLsn(range.start)} to ${formatLsn(range.end)} (${messageOf(error)})`);
    }
  }
  return { found, unread };
}

function describeStored({ lineage, timeline }: WalRoute): string {
  const runs = storedOnPath(lineage, pathInLineage(lineage, timeline));
  const ranges = runs.map(({ start, end }) => `${formatLsn(start)} to ${formatLsn(end)}`);
  return `Its WAL is stored from ${ranges.join(' and from ')}, up to timeline ${timeline}.`;
}

function describeUnread(unread: readonly string[]): string[] {
  if (unread.length === 0) return [];
  return [`WAL could not be looked through: ${unread.join('; ')}.`];
}

function nameRoute(route: WalRoute, lsn: bigint): string {
  const { timeline } = stretchAt(pathInLineage(route.lineage, route.timeline), lsn);
  return `timeline ${timeline} of lineage ${shortId(route.lineage.lineage)}`;
}

function wayTo(route: WalRoute, lsn: bigint): string[] {
  return [
    `To restore there add --lineage ${shortId(route.lineage.lineage)} --timeline ${route.timeline}, and write --to ${formatLsn(lsn)}.`,
  ];
}

function notFound(target: RecoveryTarget, told: readonly string[], hints: readonly string[]): HoldfastError {
  return new HoldfastError('RESTORE_TARGET_NOT_FOUND', `cannot restore to "${formatRecoveryTarget(target)}"`, {
    detail: told.join('\n'),
    hints: [...new Set([...hints, 'Run `holdfast wal commits` to see what there is around a moment.'])],
  });
}
