import { z } from 'zod';
import { HoldfastError, messageOf } from '../../lib/index.ts';
import { formatLsn } from '../../postgres/index.ts';
import {
  describeContinuity,
  findContenders,
  findLineage,
  type LineageInventory,
  readReceiverStatuses,
  readWalInventory,
  type StoredReceiverStatus,
  streamedLineageOf,
  type WalInventory,
} from '../../protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../../repository/index.ts';
import { readSnapshotFacts, type SnapshotFacts, shortId } from '../snapshot-facts.ts';
import { findRoutes, routeTo, type WalRoute, whyNotOnRoute } from '../wal-route.ts';
import { chooseTimeline, type TimelineChoice } from './choose-timeline.ts';

/** What the repository holds of one cluster, as far as a restore is concerned. */
export interface RestoreFacts {
  readonly cluster: string;
  /** Of the cluster's present system, or only the one that was asked for. */
  readonly snapshots: readonly SnapshotFacts[];
  readonly inventory: WalInventory;
  /** What receivers of WAL last said, before the inventory was taken. */
  readonly receivers: readonly StoredReceiverStatus[];
  /** The history on which the restore goes. */
  readonly route: WalRoute;
  /** Histories of the same system that were left at some fork. */
  readonly otherRoutes: readonly WalRoute[];
  /** What could not be read, in words. */
  readonly notes: readonly string[];
}

/** What the user may name. */
export interface RestoreSource {
  readonly repository: Repository;
  readonly cluster?: string;
  /** The beginning of a snapshot's id. */
  readonly snapshot?: string;
  /** The beginning of a lineage's id, for a history that was left. */
  readonly lineage?: string;
  /** Which timeline to follow; the latest unless said otherwise. */
  readonly timeline?: TimelineChoice;
}

/**
 * Reads snapshots and WAL inventory, and settles which cluster and which history are meant: those that were named, otherwise the only cluster
 * and its present history.
 *
 * Errors: RESTORE_NO_SNAPSHOT, RESTORE_CLUSTER_AMBIGUOUS, RESTORE_LINEAGE_AMBIGUOUS, RESTORE_WAL_ABSENT, RESTORE_LINEAGE_ABSENT, RESTORE_TIMELINE_ABSENT, RESTORE_HISTORY_UNREADABLE; SNAPSHOT_ABSENT,
 * SNAPSHOT_AMBIGUOUS; those of the store.
 */
export async function readFacts(source: RestoreSource): Promise<RestoreFacts> {
  const { repository } = source;
  // Together, as none needs the other.
  const [list, named, receivers] = await Promise.all([
    repository.listSnapshots(),
    source.snapshot === undefined ? null : repository.findSnapshot(source.snapshot),
    readReceiverStatuses(repository),
  ]);
  const notes = list.damaged.map(({ id }) => `The record of snapshot ${shortId(id)} is damaged; it was passed over.`);
  const records = named === null ? list.snapshots : [named];
  const known = readAll(records, notes);
  const cluster = source.cluster ?? onlyCluster(known);
  const own = known.filter((snapshot) => snapshot.cluster === cluster);
  const newest = own.reduce<SnapshotFacts | null>(
    (a, b) => (a !== null && a.completedAt > b.completedAt ? a : b),
    null,
  );
  if (newest === null) throw noSnapshot(source, known);
  // A cluster that was made anew is another system under the same name; the newest is the one that is in use.
  const snapshots = own.filter(({ system }) => system === newest.system);
  const inventory = await readWalInventory(repository, newest.system);
  notes.push(...inventory.damaged.map(({ objectName }) => `Object "${objectName}" is damaged; it was passed over.`));
  const streamed = streamedLineageOf(receivers, newest);
  return { cluster, snapshots, inventory, receivers, notes, ...chooseRoute(source, inventory, newest, streamed) };
}

function readAll(records: readonly SnapshotRecord[], notes: string[]): SnapshotFacts[] {
  return records.flatMap((record) => {
    try {
      return [readSnapshotFacts(record)];
    } catch (error) {
      if (!(error instanceof z.ZodError)) throw error;
      notes.push(
        `Snapshot ${shortId(record.id)} has no record of a server that this version reads; it was passed over.`,
      );
      return [];
    }
  });
}

function chooseRoute(
  source: RestoreSource,
  inventory: WalInventory,
  newest: SnapshotFacts,
  streamed: string | null,
): { route: WalRoute; otherRoutes: WalRoute[] } {
  const { current, left } = findRoutes(inventory, newest.system, newest.cluster, streamed);
  const all = [...(current === null ? [] : [current]), ...left];
  const [present] = all;
  if (present === undefined) throw noWal(newest);
  // A lineage that cannot be read may be the present one: its parent would pass for it, and end long ago.
  const unreadable = inventory.damaged.find(({ objectName }) => objectName.endsWith('/lineage'));
  if (unreadable !== undefined && source.lineage === undefined) throw historyUnreadable(unreadable, all);
  const contenders = findContenders(inventory, newest.system, newest.cluster);
  const isSettled = contenders.length < 2 || contenders.some(({ lineage }) => lineage === streamed);
  if (!isSettled && source.lineage === undefined && source.snapshot === undefined) throw severalWentOn(contenders);
  const lineageRoute = chooseWanted(source, all, inventory, newest) ?? present;
  const wanted = chooseTimeline({ ...source, inventory, chosen: lineageRoute, newest }) ?? lineageRoute;
  return { route: wanted, otherRoutes: all.filter((route) => route !== wanted) };
}

/** A named lineage, or, when a snapshot was named that the present history does not come from, the snapshot's own. */
function chooseWanted(
  source: RestoreSource,
  routes: readonly WalRoute[],
  inventory: WalInventory,
  newest: SnapshotFacts,
): WalRoute | undefined {
  if (source.lineage !== undefined) {
    const prefix = source.lineage.toLowerCase();
    const matching = routes.filter((route) => route.lineage.lineage.startsWith(prefix));
    if (matching.length !== 1) throw noLineage(source.lineage, routes);
    return matching[0];
  }
  if (source.snapshot === undefined || routes[0] === undefined) return undefined;
  if (whyNotOnRoute(routes[0], newest) === null) return undefined;
  return routeTo(inventory, findLineage(inventory, newest.lineage));
}

function onlyCluster(snapshots: readonly SnapshotFacts[]): string {
  const names = [...new Set(snapshots.map(({ cluster }) => cluster))];
  if (names.length <= 1) return names[0] ?? '';
  throw new HoldfastError('RESTORE_CLUSTER_AMBIGUOUS', 'cannot tell which cluster to restore', {
    detail: `The repository has snapshots of ${names.map((name) => `"${name}"`).join(', ')}.`,
    hints: ['Name one with --cluster.'],
  });
}

function noSnapshot(source: RestoreSource, known: readonly SnapshotFacts[]): HoldfastError {
  const names = [...new Set(known.map(({ cluster }) => `"${cluster}"`))];
  return new HoldfastError(
    'RESTORE_NO_SNAPSHOT',
    source.cluster === undefined
      ? 'cannot restore: there is no snapshot'
      : `cannot restore: there is no snapshot of "${source.cluster}"`,
    {
      detail:
        names.length === 0
          ? 'The repository has no readable snapshot at all.'
          : `There are snapshots of ${names.join(', ')}.`,
      hints: ['Run `holdfast list` to see the snapshots.'],
    },
  );
}

function noWal(snapshot: SnapshotFacts): HoldfastError {
  return new HoldfastError(
    'RESTORE_WAL_ABSENT',
    `cannot restore cluster "${snapshot.cluster}": none of its WAL is there`,
    {
      detail: `Expected a readable lineage of system ${snapshot.system}, found none. A base backup alone is not consistent.`,
      hints: ['Run `holdfast wal status` to see what is stored and what is damaged.'],
    },
  );
}

function historyUnreadable(
  { objectName, error }: WalInventory['damaged'][number],
  routes: readonly WalRoute[],
): HoldfastError {
  return new HoldfastError(
    'RESTORE_HISTORY_UNREADABLE',
    'cannot tell which history of the cluster is the present one',
    {
      detail: `Object "${objectName}" says where a history begins, and cannot be read: ${messageOf(error)}.`,
      hints: routes.map(
        ({ lineage }) =>
          `To restore from the history that begins at ${formatLsn(lineage.header.startLsn)}, name it with --lineage ${shortId(lineage.lineage)}.`,
      ),
      cause: error,
    },
  );
}

function noLineage(asked: string, routes: readonly WalRoute[]): HoldfastError {
  const names = routes.map((route) => route.lineage.lineage.slice(0, 12));
  return new HoldfastError('RESTORE_LINEAGE_ABSENT', `cannot find one WAL lineage "${asked}" of this cluster`, {
    detail: `Its lineages are ${names.join(', ')}.`,
    hints: ['Name one of these with --lineage; `holdfast wal status` tells more of each.'],
  });
}

function severalWentOn(contenders: readonly LineageInventory[]): HoldfastError {
  const ends = contenders.map((contender) => {
    const { timeline, runs } = describeContinuity(contender);
    const reaches = `up to ${formatLsn(runs.at(-1)?.end ?? 0n)} on timeline ${timeline}`;
    return `${shortId(contender.lineage)} has WAL ${reaches}, the last of it stored at ${new Date(contender.grewAt).toISOString()}`;
  });
  return new HoldfastError(
    'RESTORE_LINEAGE_AMBIGUOUS',
    'cannot tell which history of the cluster to restore: several servers went on',
    {
      detail: `Lineage ${ends.join('; lineage ')}. No receiver has said which of them it follows.`,
      hints: [
        'Find out which server the application used after they parted, and name its lineage with --lineage.',
        ...contenders.map(
          ({ lineage }) => `Run \`holdfast wal commits --lineage ${shortId(lineage)}\` to see what committed there.`,
        ),
      ],
    },
  );
}
