import { formatMoment } from '../lib/index.ts';
import { formatLsn, formatTimestamp, type Timestamp } from '../postgres/index.ts';
import type { LastStoredCommit } from './proposal.ts';
import type { ReachableRange } from './select-snapshot.ts';
import { shortId } from './snapshot-facts.ts';
import type { WalRoute } from './wal-route.ts';

/** A range in words, with positions and times at both ends. */
export function describeRange(range: ReachableRange, last: LastStoredCommit, knownUntil: Timestamp | null): string {
  const { from, to, snapshot } = range;
  const begin = `${formatLsn(from)} (snapshot ${shortId(snapshot.id)} of ${formatMoment(snapshot.completedAt)})`;
  return `from ${begin} to ${formatLsn(to)} (${describeEnd(last, knownUntil)})`;
}

function describeEnd({ commit, problem }: LastStoredCommit, knownUntil: Timestamp | null): string {
  if (problem !== null) return `where it cannot be read to its end: ${problem}`;
  const last = commit === null ? 'nothing was committed since' : `last commit ${formatTimestamp(commit.at)}`;
  if (knownUntil === null || (commit !== null && knownUntil <= commit.at)) return last;
  return `${last}, known to be all up to ${formatTimestamp(knownUntil)}`;
}

/** Hints for histories that were left at a fork: what they hold beyond it can still be had by naming them. */
export function describeRoute(route: WalRoute, ranges: readonly ReachableRange[]): string[] {
  return ranges.map(
    ({ from, to }) =>
      `Another history of this cluster, which was left, holds ${formatLsn(from)} to ${formatLsn(to)}: name it with --lineage ${shortId(route.lineage.lineage)}.`,
  );
}
