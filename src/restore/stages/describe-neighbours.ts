import { formatLsn } from '../../postgres/index.ts';
import { fullXidNear, type LandmarkSummary, pathInLineage, storedOnPath } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { isCommit, landmarksOf } from '../wal-records.ts';
import type { WalRoute } from '../wal-route.ts';

/** How far before and behind a commit one looks for those that overtook it: they ran at the same time. */
const LOOK_AROUND_BYTES = 64n * 1024n * 1024n;

/** So many are named. */
const SHOWN_MAX = 5;

/**
 * Which transactions a restore to one transaction brings along although they have later numbers, and which it leaves out although theirs are
 * earlier, as sentences: transactions commit in another order than they begin.
 */
export async function describeNeighbours(
  repository: Repository,
  route: WalRoute,
  commit: { lsn: bigint; endLsn: bigint; xid: number; fullXid: bigint | null },
): Promise<string[]> {
  const { lsn, endLsn, fullXid } = commit;
  const near = fullXid ?? BigInt(commit.xid);
  const path = pathInLineage(route.lineage, route.timeline);
  const run = storedOnPath(route.lineage, path).find(({ start, end }) => start <= lsn && lsn < end);
  const earliest = lsn > LOOK_AROUND_BYTES ? lsn - LOOK_AROUND_BYTES : 0n;
  const from = run !== undefined && run.start > earliest ? run.start : earliest;
  const before = await numbersIn(repository, route, { from, to: lsn }, near, (xid) => xid > near);
  const behind = { from: endLsn, to: endLsn + LOOK_AROUND_BYTES };
  const after = await numbersIn(repository, route, behind, near, (xid) => xid < near);
  return [
    `Transaction ${commit.xid} committed at ${formatLsn(lsn)}; all that committed before it comes with it${list(', also with later numbers', before)}.`,
    ...(after.length === 0
      ? []
      : [`Transactions with earlier numbers committed later and will not be there${list('', after)}.`]),
  ];
}

async function numbersIn(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
  near: bigint,
  isWanted: (fullXid: bigint) => boolean,
): Promise<number[]> {
  const found: number[] = [];
  const mayHold = ({ xids }: LandmarkSummary) =>
    xids === 'unknown' || (xids !== null && (isWanted(xids.least) || isWanted(xids.greatest)));
  for await (const landmark of landmarksOf(repository, route).read({ ...range, mayHold })) {
    if (isCommit(landmark) && isWanted(fullXidNear(landmark.transaction.xid, near))) {
      found.push(landmark.transaction.xid);
    }
  }
  return found;
}

function list(what: string, xids: readonly number[]): string {
  if (xids.length === 0) return '';
  const more = xids.length > SHOWN_MAX ? ` and ${xids.length - SHOWN_MAX} more` : '';
  return `${what}: ${xids.slice(0, SHOWN_MAX).join(', ')}${more}`;
}
