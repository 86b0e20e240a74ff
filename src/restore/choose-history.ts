import { HoldfastError } from '../lib/index.ts';
import { findLineage, readStreamedLineage, readWalInventory, type WalInventory } from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import { readSnapshotFacts, type SnapshotFacts, shortId } from './snapshot-facts.ts';
import { chooseTimeline, type TimelineChoice } from './stages/choose-timeline.ts';
import { findRoutes, listRoutes, type WalRoute } from './wal-route.ts';

/** Which history is meant. */
export interface HistoryChoice {
  readonly cluster: string;
  /** The beginning of a lineage's id; the present one when not given. */
  readonly lineage?: string;
  readonly timeline?: TimelineChoice;
}

/** A history with all that leads to it. */
export interface ChosenHistory {
  readonly inventory: WalInventory;
  readonly route: WalRoute;
  /** All histories of the same system. */
  readonly routes: readonly WalRoute[];
  /** Of the cluster's system; there may be none. */
  readonly snapshots: readonly SnapshotFacts[];
}

/**
 * The history of a cluster that is meant: its present one, or the one that was named. Of a cluster that was made anew, the system of the newest
 * lineage counts.
 *
 * Errors: RESTORE_WAL_ABSENT, RESTORE_LINEAGE_ABSENT, RESTORE_TIMELINE_ABSENT; those of the store.
 */
export async function chooseHistory(repository: Repository, choice: HistoryChoice): Promise<ChosenHistory> {
  const inventory = await readWalInventory(repository);
  const own = inventory.lineages.filter(({ header }) => header.cluster === choice.cluster);
  const wanted = choice.lineage?.toLowerCase();
  const named = wanted === undefined ? own : own.filter(({ lineage }) => lineage.startsWith(wanted));
  const newest = named.toSorted((a, b) => b.storedAt - a.storedAt)[0];
  if (own.length === 0) throw noWal(choice.cluster);
  if (newest === undefined || (wanted !== undefined && named.length > 1)) {
    throw noLineage(
      choice,
      own.map(({ lineage }) => shortId(lineage)),
    );
  }
  const { system } = newest;
  const streamed = await readStreamedLineage(repository, { system, cluster: choice.cluster });
  const { current, left } = findRoutes(inventory, system, choice.cluster, streamed);
  const all = [...(current === null ? [] : [current]), ...left];
  const chosen = all.find(({ lineage }) => wanted !== undefined && lineage.lineage === newest.lineage) ?? all[0]!;
  const snapshots = await readSnapshots(repository, { cluster: choice.cluster, system });
  const { header } = findLineage(inventory, chosen.lineage.lineage);
  const timeline = snapshots.at(-1)?.timeline ?? header.startTimeline;
  const lineage = snapshots.at(-1)?.lineage ?? chosen.lineage.lineage;
  const begun = { system, cluster: choice.cluster, lineage, timeline };
  const route = chooseTimeline({ ...choice, inventory, chosen, newest: begun }) ?? chosen;
  return { inventory, route, routes: listRoutes(inventory, system, choice.cluster, streamed), snapshots };
}

/** By completion. A record that is not one of a base backup leads nowhere. */
async function readSnapshots(
  repository: Repository,
  { cluster, system }: { cluster: string; system: string },
): Promise<SnapshotFacts[]> {
  const { snapshots } = await repository.listSnapshots();
  const own = snapshots.filter((record) => record.cluster === cluster && record.wal.system === system);
  return own.map(readSnapshotFacts).sort((a, b) => a.completedAt - b.completedAt);
}

function noWal(cluster: string): HoldfastError {
  return new HoldfastError('RESTORE_WAL_ABSENT', `cannot look into the WAL of cluster "${cluster}": none is there`, {
    detail: 'Expected a readable lineage of this cluster, found none.',
    hints: ['Run `holdfast wal status` to see what is stored.'],
  });
}

function noLineage({ lineage, cluster }: HistoryChoice, known: readonly string[]): HoldfastError {
  return new HoldfastError(
    'RESTORE_LINEAGE_ABSENT',
    `cannot find one WAL lineage "${lineage}" of cluster "${cluster}"`,
    {
      detail: `Its lineages are ${known.join(', ')}.`,
      hints: ['Name one of these with --lineage; `holdfast wal status` tells more of each.'],
    },
  );
}
