import { formatLsn } from '../postgres/index.ts';
import { type LsnRange, pathInLineage, storedOnPath } from '../protect/wal/index.ts';
import type { RestoreProposal } from './proposal.ts';
import { shortId } from './snapshot-facts.ts';
import type { WalRoute } from './wal-route.ts';

/**
 * What the repository holds of the cluster and a restore leaves out although nobody asked for that, as sentences: WAL behind a hole, and what
 * another history holds behind the fork. Unsaid, "latest", or a time, would mean less than a person thinks.
 *
 * `route` is the whole history on which the restore goes, also behind the target.
 */
export function describeElsewhere(
  proposal: Pick<RestoreProposal, 'target' | 'wal' | 'lost'>,
  route: WalRoute,
  otherRoutes: readonly WalRoute[],
): string[] {
  return [
    ...describeHole(route, proposal.lost.durableEnd),
    ...otherRoutes.flatMap((other) => describeLeft(other, route, proposal)),
  ];
}

function describeHole(route: WalRoute, reach: bigint): string[] {
  const behind = storedRanges(route).filter(({ start }) => start > reach);
  const [next, last] = [behind[0], behind.at(-1)];
  if (next === undefined || last === undefined) return [];
  return [
    `WAL is missing from ${formatLsn(reach)} to ${formatLsn(next.start)}: what is stored behind that, up to ${formatLsn(last.end)}, cannot be reached from this snapshot. Who still has it can give it: the server by holdfast repository heal, its data directory by holdfast wal rescue.`,
  ];
}

function describeLeft(
  other: WalRoute,
  route: WalRoute,
  { target, wal, lost }: Pick<RestoreProposal, 'target' | 'wal' | 'lost'>,
): string[] {
  // A position, a transaction or a name says by itself which history is meant; a moment before the fork is the same in both.
  const shared = sharedUntil(other, route);
  const end = storedRanges(other).at(-1)?.end ?? 0n;
  const isOfAnyHistory = target.asked.kind === 'latest' || target.asked.kind === 'time';
  if (!isOfAnyHistory || end <= shared || (wal.to <= shared && lost.bytes > 0n)) return [];
  return [
    `Another history of this cluster, which parted from this one at ${formatLsn(shared)}, holds WAL up to ${formatLsn(end)} that is not brought back: name it with --lineage ${shortId(other.lineage.lineage)}.`,
  ];
}

const LSN_MAX = 1n << 64n;

/** Up to where two routes have the same WAL; 0 when they share nothing. */
function sharedUntil(other: WalRoute, route: WalRoute): bigint {
  const theirs = new Map(listLineages(other));
  for (const [lineage, until] of listLineages(route)) {
    const alsoUntil = theirs.get(lineage);
    if (alsoUntil !== undefined) return minLsn(alsoUntil, until);
  }
  return 0n;
}

/** The lineages of a route, the last one first, each with where the route leaves it. */
function listLineages(route: WalRoute): [lineage: string, until: bigint][] {
  const found: [string, bigint][] = [];
  let until = LSN_MAX;
  for (let at: WalRoute | undefined = route; at !== undefined; at = at.parent?.route) {
    found.push([at.lineage.lineage, until]);
    until = minLsn(until, at.parent?.forkLsn ?? LSN_MAX);
  }
  return found;
}

function storedRanges({ lineage, timeline }: WalRoute): LsnRange[] {
  return storedOnPath(lineage, pathInLineage(lineage, timeline));
}

function minLsn(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
