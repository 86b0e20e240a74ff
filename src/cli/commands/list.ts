import { formatBytes, formatCount, formatMoment } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { describeCopiesAlone } from '../copies-text.ts';
import { whatDoubtMeans } from '../doubt-text.ts';
import { fromPlaceFlag } from '../from-place.ts';
import { lockedUntil } from '../lock-text.ts';
import { formatTable, paintLevel, paintLock, shortId } from '../output/index.ts';

/** `holdfast list`. */
export const list: Command = {
  path: ['list'],
  summary: 'List the snapshots, oldest first, with what they can be restored to.',
  examples: [
    { line: 'holdfast list', does: 'Every snapshot, and up to which moments it leads.' },
    { line: 'holdfast list --from west', does: 'What the copy "west" has.' },
  ],
  access: 'read',
  readsFromPlace: true,
  database: 'none',
  planOptions: ['cluster.name'],
  flags: [fromPlaceFlag],
  run: async ({ repository, plan, clock }) => {
    const { formatLsn } = await import('../../postgres/index.ts');
    const { listClusters, listDescribedSnapshots } = await import('../../watch/index.ts');
    const { checksumFailuresOf, readingOf } = await import('../../protect/backup/index.ts');
    const { snapshotDocument } = await import('../snapshot-document.ts');
    // A cluster that nobody named is the default of whoever writes, not a wish to see less.
    const cluster = plan.cluster.nameOrigin === null ? undefined : plan.cluster.name;
    const { snapshots, damaged } = await listDescribedSnapshots(repository, cluster);
    const others = snapshots.length > 0 || cluster === undefined ? [] : await listClusters(repository);
    // Where nothing was ever locked, nobody misses the column.
    const hasLocks = snapshots.some(({ locks }) => locks.length > 0);
    return {
      reason:
        damaged.length === 0 && snapshots.every(({ isDamaged, isDoubtful }) => !isDamaged && !isDoubtful)
          ? 'done'
          : 'problemFound',
      json: {
        snapshots: snapshots.map(snapshotDocument),
        damaged: damaged.map(({ id, name, error }) => ({ snapshot: id, object: name, message: error.message })),
      },
      text: (paint) => [
        ...(snapshots.length === 0
          ? [cluster === undefined ? 'There are no snapshots.' : noneOf(cluster, others)]
          : formatTable(
              [
                ...[{ head: 'SNAPSHOT' }, { head: 'CLUSTER' }, { head: 'COMPLETED' }],
                { head: 'SIZE', align: 'right' },
                { head: 'FILES', align: 'right' },
                { head: 'ADDED', align: 'right' },
                ...[
                  { head: 'READ' },
                  { head: 'LEVEL' },
                  ...(hasLocks ? [{ head: 'LOCKED' }] : []),
                  { head: 'RESTORABLE' },
                ],
              ],
              snapshots.map(({ record, level, isDamaged, isDoubtful, isMisdated, onlyIn, locks, reach }) => [
                paint.strong(shortId(record.id)),
                record.cluster,
                `${formatMoment(Date.parse(record.completedAt))}${isMisdated ? paint.bad(' (later than it was stored)') : ''}`,
                formatBytes(record.tree.bytes),
                formatCount(record.tree.files),
                formatBytes(record.stored.storedBytes),
                readingOf(record)?.manner === 'increment' ? 'changes' : 'everything',
                `${paintLevel(level, paint, isDamaged, isDoubtful)}${checksumFailuresOf(record).length === 0 ? '' : paint.bad(', damaged pages')}${onlyIn === null ? '' : paint.warning(`, ${describeCopiesAlone(onlyIn)}`)}`,
                ...(hasLocks ? [paintLock(lockedUntil(locks), clock.now(), paint)] : []),
                reach?.isComplete === true
                  ? `${record.wal.end} to ${formatLsn(reach.to)}`
                  : paint.bad('its WAL is not there'),
              ]),
              paint,
            )),
        ...damaged.map(({ error }) => paint.bad(error.message)),
        ...(snapshots.some(({ isDoubtful }) => isDoubtful) ? [paint.bad(whatDoubtMeans)] : []),
      ],
    };
  },
};

/** A name that was mistyped is found sooner beside those that are there. */
function noneOf(cluster: string, others: readonly string[]): string {
  const kept = others.filter((name) => name !== cluster).map((name) => `"${name}"`);
  return `There are no snapshots of "${cluster}"${kept.length === 0 ? '' : `; the repository keeps ${kept.join(', ')}`}.`;
}
