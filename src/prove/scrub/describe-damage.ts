import { formatDuration, formatMoment, formatQuantity } from '../../lib/index.ts';
import { formatLsn } from '../../postgres/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';
import type { SnapshotCost, WalCost } from './verdict.ts';

/** So many snapshots and files are named in a sentence. */
const namedMax = 3;

/** What a damaged object costs, in one line without a full stop at the end of its parts: sentences joined. */
export function describeCost(
  snapshots: readonly SnapshotCost[],
  wal: readonly WalCost[],
  all: readonly SnapshotRecord[],
): string {
  const sentences = [...describeSnapshots(snapshots, all), ...wal.map(describeWal)];
  return sentences.length === 0 ? 'Nothing that is needed is lost by it.' : sentences.join(' ');
}

function describeSnapshots(costs: readonly SnapshotCost[], all: readonly SnapshotRecord[]): string[] {
  if (costs.length === 0) return [];
  const named = costs.slice(0, namedMax).map(describeSnapshot).join('; ');
  const more = costs.length > namedMax ? `; and ${costs.length - namedMax} more` : '';
  const harmed = new Set(costs.map(({ snapshot }) => snapshot));
  const cluster = costs[0]!.cluster;
  const own = all.filter((snapshot) => snapshot.cluster === cluster);
  const whole = own.filter(({ id }) => !harmed.has(id));
  const newest = whole.at(-1);
  const rest =
    newest === undefined
      ? `No other snapshot of "${cluster}" is there.`
      : `It does not touch ${formatQuantity(whole.length, 'other snapshot')} of "${cluster}", the newest of them ${newest.id.slice(0, 12)} of ${formatMoment(Date.parse(newest.completedAt))}.`;
  return [
    `${costs.length} of ${formatQuantity(own.length, 'snapshot')} cannot be restored whole: ${named}${more}.`,
    rest,
  ];
}

function describeSnapshot({ snapshot, files, names }: SnapshotCost): string {
  const examples = names.slice(0, namedMax).map(describePath).join(', ');
  const more = files > Math.min(names.length, namedMax) ? ', …' : '';
  return `${snapshot.slice(0, 12)} (${formatQuantity(files, 'file')}${names.length === 0 ? '' : `: ${examples}${more}`})`;
}

/** A path in a snapshot, with what it is to PostgreSQL when it holds a relation. */
export function describePath(path: string): string {
  const relation = /^(?:data\/base|space\/\d+\/[^/]+)\/(\d+)\/(\d+)(?:_\w+)?(?:\.\d+)?$/.exec(path);
  if (relation !== null) return `${path} (relation file ${relation[2]} of database ${relation[1]})`;
  const shared = /^data\/global\/(\d+)(?:_\w+)?(?:\.\d+)?$/.exec(path);
  return shared === null ? path : `${path} (shared relation file ${shared[1]})`;
}

function describeWal({ lostStart, lostEnd, timeline, from, to, fromTime, toTime, cluster }: WalCost): string {
  const lost = `WAL of "${cluster}" from ${formatLsn(lostStart)} to ${formatLsn(lostEnd)} on timeline ${timeline} is lost`;
  const since = fromTime === null ? `behind ${formatLsn(from)}` : `after ${formatMoment(fromTime)}`;
  if (to === null) return `${lost}: no moment ${since} can be restored until a new backup has been taken.`;
  const until = toTime === null ? formatLsn(to) : formatMoment(toTime);
  const span = fromTime === null || toTime === null ? '' : ` (${formatDuration(Math.max(0, toTime - fromTime))})`;
  return `${lost}: no moment ${since} and before ${until}${span} can be restored.`;
}
