import { findHiddenHolds, findHiddenSnapshots, findRegressions, RememberedHeads } from '../../ledger/index.ts';
import { formatQuantity, mapAhead } from '../../lib/index.ts';
import { parseLsn } from '../../postgres/index.ts';
import {
  type Attestation,
  committedName,
  type Hold,
  type HoldList,
  isPlaceTrouble,
  listAttestations,
  listHolds,
  type ProofLevel,
  pendingName,
  type Repository,
  type SnapshotList,
  type SnapshotRecord,
} from '../../repository/index.ts';
import { type Doubts, readDoubts, tagsOf } from '../backup/index.ts';
import {
  describeContinuity,
  findReach,
  type LineageInventory,
  newestTimeline,
  pathInLineage,
  readWalInventory,
  type WalInventory,
} from '../wal/index.ts';
import { shorten } from './anomalies.ts';
import type { LineageFacts, Obstacle, ObstacleCode, PolicyInput, SnapshotFacts } from './facts.ts';

/** All that is known of one place of a repository, for the decisions about each of its clusters. */
export interface RetentionFacts {
  /** The store's own time, from before anything was read. */
  readonly now: number;
  readonly holds: readonly Hold[];
  readonly obstacles: readonly Obstacle[];
  /** By the names of clusters, in their order; those of which WAL alone is stored are among them. */
  readonly clusters: ReadonlyMap<string, Pick<PolicyInput, 'snapshots' | 'lineages'>>;
}

/** Snapshots whose statements are asked for at once. */
const READS_MAX = 16;

const levels: readonly ProofLevel[] = ['stored', 'verified', 'proven'];

/**
 * Reads all that decisions are made from. `harmed`: the ids of snapshots that known damage keeps from being restored whole.
 *
 * Holds are read last, so that one that was placed meanwhile counts. What cannot be read is an obstacle, not an error. Errors: those of the store; `STATE_UNREADABLE`.
 */
export async function gatherRetentionFacts(options: {
  readonly repository: Repository;
  readonly stateDirectory: string;
  readonly harmed: ReadonlySet<string>;
}): Promise<RetentionFacts> {
  const { repository, stateDirectory, harmed } = options;
  const now = await repository.store.now();
  const list = await repository.listSnapshots();
  const inventory = await readWalInventory(repository);
  const storedAt = await readStoreTimes(repository);
  const inDoubt = await readDoubts(repository, list.snapshots);
  const snapshots: SnapshotFacts[] = [];
  const read = async (record: SnapshotRecord) => {
    const { attestations } = await listAttestations(repository, record.id);
    const at = storedAt.get(record.id) ?? list.storedAt.get(record.id) ?? now;
    return snapshotFacts(record, { storedAt: at, attestations, inDoubt, inventory, isHarmed: harmed.has(record.id) });
  };
  for await (const facts of mapAhead(list.snapshots, { atOnceMax: READS_MAX }, read)) snapshots.push(facts);
  const holds = await listHolds(repository);
  const obstacles = [
    ...whatCannotBeRead(list, inventory, holds),
    ...(await whatIsHidden(repository, stateDirectory, holds)),
  ];
  return { now, holds: holds.holds, obstacles, clusters: byCluster(snapshots, inventory) };
}

/** What retention has to know of a snapshot. `storedAt`: the earliest moment at which any place took it. */
export function snapshotFacts(
  record: SnapshotRecord,
  known: {
    readonly storedAt: number;
    readonly attestations: readonly Attestation[];
    readonly inDoubt: Doubts;
    readonly inventory: WalInventory;
    readonly isHarmed: boolean;
  },
): SnapshotFacts {
  const { id, cluster, completedAt, wal } = record;
  const has = (level: Attestation['level']) => known.attestations.some((each) => each.level === level);
  const doubts = [
    ...(known.isHarmed ? ['damage keeps it from being restored whole'] : []),
    ...(known.inDoubt.isAbout(id) ? ['a cross-check found it wanting'] : []),
    ...(findReach(known.inventory, wal)?.isComplete === true ? [] : ['its WAL is not all there']),
  ];
  return {
    ...{ id, cluster, doubts, storedAt: known.storedAt, tags: tagsOf(record) },
    completedAt: Date.parse(completedAt),
    level: levels.findLast(has) ?? null,
    wal: { ...wal, start: parseLsn(wal.start), end: parseLsn(wal.end) },
  };
}

/** What retention has to know of a lineage. */
export function lineageFacts(lineage: LineageInventory): LineageFacts {
  const { header, timelines, histories } = lineage;
  const own = new Set([header.startTimeline, ...timelines.keys(), ...histories.keys()]);
  const followed = [...own].filter((timeline) => timeline === 1 || histories.has(timeline));
  const newest = newestTimeline(lineage);
  return {
    ...{ system: lineage.system, lineage: lineage.lineage, beganAt: lineage.storedAt, grewAt: lineage.grewAt },
    parent: header.parent,
    newestTimeline: newest,
    paths: new Map(followed.map((timeline) => [timeline, pathInLineage(lineage, timeline)])),
    gaps: followed.includes(newest) ? describeContinuity(lineage).gaps : [],
  };
}

/**
 * When the first of the places took the pending or committed record of each snapshot: what was filled again from a copy, or committed again by a healing, is older
 * than the record that is listed. A copy that cannot be asked is passed over.
 */
async function readStoreTimes({ store }: Repository): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const place of store.places ?? [{ name: 'primary', store }]) {
    try {
      for (const prefix of [committedName(''), pendingName('')]) {
        for await (const { name, modifiedAt } of place.store.list(prefix)) {
          const id = name.slice(prefix.length);
          times.set(id, Math.min(modifiedAt, times.get(id) ?? modifiedAt));
        }
      }
    } catch (error) {
      if (place.name === 'primary' || !isPlaceTrouble(error)) throw error;
    }
  }
  return times;
}

function whatCannotBeRead(list: SnapshotList, inventory: WalInventory, holds: HoldList): Obstacle[] {
  const heal = 'Run `holdfast verify`, then `holdfast repository heal`.';
  return [
    ...list.damaged.map(({ error }) => obstacle('snapshot-unreadable', error.message, heal)),
    ...inventory.damaged.map(({ error }) => obstacle('wal-unreadable', error.message, heal)),
    ...holds.unreadable.map(({ error }) => obstacle('hold-unreadable', error.message, heal)),
  ];
}

async function whatIsHidden(repository: Repository, stateDirectory: string, holds: HoldList): Promise<Obstacle[]> {
  const heads = await findRegressions(repository, new RememberedHeads(stateDirectory, repository.id));
  const snapshots = await findHiddenSnapshots(repository);
  const unseen = await findHiddenHolds(repository, stateDirectory, holds);
  const why = 'Find out who hides or takes away what; look at copies of the repository.';
  return [
    ...(heads.length === 0
      ? []
      : [
          obstacle(
            'heads-regressed',
            `the ledger has lost or changed ${formatQuantity(heads.length, 'entry', 'entries')} that this host saw`,
            `${why} Then run \`holdfast repository acknowledge\`.`,
          ),
        ]),
    ...snapshots.map(({ snapshot, at }) =>
      obstacle('snapshot-hidden', `snapshot ${shorten(snapshot)} of ${at}, which the ledger names, is not there`, why),
    ),
    ...unseen.map(({ hold }) =>
      obstacle(
        'hold-hidden',
        `hold ${shorten(hold)}, which was there, is there no more`,
        `${why} Then end it: \`holdfast hold remove ${hold}\`.`,
      ),
    ),
  ];
}

function obstacle(code: ObstacleCode, what: string, hint: string): Obstacle {
  return { code, sentence: `Nothing is forgotten because ${what}.`, hint };
}

function byCluster(
  snapshots: readonly SnapshotFacts[],
  { lineages }: WalInventory,
): Map<string, Pick<PolicyInput, 'snapshots' | 'lineages'>> {
  const own = Map.groupBy(snapshots, ({ cluster }) => cluster);
  const walOf = Map.groupBy(lineages, ({ header }) => header.cluster);
  const names = [...new Set([...own.keys(), ...walOf.keys()])].sort();
  return new Map(
    names.map((name) => [
      name,
      { snapshots: own.get(name) ?? [], lineages: (walOf.get(name) ?? []).map(lineageFacts) },
    ]),
  );
}
