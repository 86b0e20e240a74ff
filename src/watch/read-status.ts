import { findHiddenSnapshots } from '../ledger/index.ts';
import { type Clock, HoldfastError } from '../lib/index.ts';
import {
  type ConnectionTarget,
  connect,
  identifySystem,
  parseLsn,
  timestampToMilliseconds,
} from '../postgres/index.ts';
import { checksumFailuresOf, readDoubts } from '../protect/backup/index.ts';
import {
  contiguousEndIn,
  costOfGap,
  currentLineage,
  describeContinuity,
  describeGapCost,
  readPushStatuses,
  readReceiverStatuses,
  readWalInventory,
  STATUS_FRESH_MS,
  type StoredPushStatus,
  type StoredReceiverStatus,
  type WalInventory,
} from '../protect/wal/index.ts';
import { isMisdated, listSnapshots, type Repository, type SnapshotRecord } from '../repository/index.ts';
import { describeSnapshot } from './describe-snapshot.ts';
import { judgeCluster, judgeUnreachable } from './judge-status.ts';
import { knownClusters } from './known-clusters.ts';
import { describeKnownDamage, findHarmedSnapshots } from './known-damage.ts';
import type {
  ClusterFacts,
  Finding,
  ProtectionStatus,
  ReceiverFacts,
  ServerFacts,
  SnapshotFacts,
  WalFacts,
} from './status.ts';

export interface StatusOptions {
  readonly repository: Repository;
  /** The cluster that is asked about; every one that the repository knows when left out. */
  readonly cluster?: string;
  /**
   * The server of `cluster`, or of the one whose system it answers with, to compare with what it has; not asked when left out.
   */
  readonly source?: ConnectionTarget;
  readonly clock: Clock;
}

/** Reads what the repository knows of its clusters, asks the server if there is one to ask, and judges both. Errors: those of the store. */
export async function readStatus(options: StatusOptions): Promise<ProtectionStatus> {
  const { repository } = options;
  const { snapshots, damaged, storedAt } = await listSnapshots(repository);
  const inventory = await readWalInventory(repository);
  const receivers = await readReceiverStatuses(repository);
  const pushes = await readPushStatuses(repository);
  const server = options.source === undefined ? notAsked : await askServer(options.source, options.clock);
  const now = await repository.store.now();
  const toldAlready = new Set([
    ...damaged.map(({ name }) => name),
    ...inventory.damaged.map(({ objectName }) => objectName),
  ]);
  const findings: Finding[] = [
    ...damaged.map(({ id, error }) =>
      damage('snapshot-unreadable', `The record of snapshot ${id.slice(0, 12)} is damaged: ${error.message}.`),
    ),
    ...inventory.damaged.map(({ objectName, error }) =>
      damage('wal-damaged', `The object "${objectName}" cannot be used: ${error.message}.`),
    ),
    ...(await describeKnownDamage(repository, toldAlready)),
    ...(await findHiddenSnapshots(repository)).map(({ snapshot, at }) => hidden(snapshot, at)),
  ];
  const names = options.cluster === undefined ? knownClusters(snapshots, inventory) : [options.cluster];
  if (names.length === 0) {
    const sentence = 'The repository keeps nothing yet.';
    findings.push({ severity: 'problem', code: 'no-snapshot', sentence, advice: 'Run holdfast backup.' });
  }
  const systems = new Map(names.map((name) => [name, systemsOf(name, snapshots, inventory)]));
  if (names.length !== 1) findings.push(...judgeUnplacedServer(server, systems));
  const clusters = [];
  for (const cluster of names) {
    const own = snapshots.filter((snapshot) => snapshot.cluster === cluster);
    const misdated = own.filter((each) => isMisdated(each, storedAt.get(each.id)!));
    // One from the future would be the newest for ever, and hide that no other comes.
    const newest = own.findLast((each) => !misdated.includes(each)) ?? own.at(-1);
    const isItsServer = names.length === 1 || (server.kind === 'answered' && systems.get(cluster)?.has(server.system));
    const ownServer = isItsServer ? server : notAsked;
    const facts: ClusterFacts = {
      cluster,
      now,
      snapshotCount: own.length,
      misdated: misdated.map(({ id }) => id),
      newest: newest === undefined ? null : await readSnapshotFacts(repository, inventory, newest, storedAt),
      backupIntervalMs: intervalOf(own.filter((each) => !misdated.includes(each))),
      wal: await describeWal({ repository, inventory, receivers, pushes, snapshots, now }, cluster, newest, ownServer),
      server: ownServer,
    };
    clusters.push({ ...facts, findings: judgeCluster(facts) });
  }
  const all = [...findings, ...clusters.flatMap((cluster) => cluster.findings)];
  return { clusters, findings, isWell: all.every(({ severity }) => severity !== 'problem') };
}

const notAsked: ServerFacts = { kind: 'not-asked' };

async function askServer(source: ConnectionTarget, clock: Clock): Promise<ServerFacts> {
  try {
    const connection = await connect(source, { replication: 'physical', applicationName: 'holdfast_status', clock });
    try {
      const { systemId, timeline, flushLsn } = await identifySystem(connection);
      return { kind: 'answered', system: systemId, timeline, flushLsn };
    } finally {
      await connection.close();
    }
  } catch (error) {
    // That the server is away is one of the things that a status is asked for.
    if (error instanceof HoldfastError) return { kind: 'unreachable', sentence: `${error.message}.` };
    throw error;
  }
}

function systemsOf(cluster: string, snapshots: readonly SnapshotRecord[], inventory: WalInventory): Set<string> {
  return new Set([
    ...snapshots.filter((snapshot) => snapshot.cluster === cluster).map(({ wal }) => wal.system),
    ...inventory.lineages.filter(({ header }) => header.cluster === cluster).map(({ system }) => system),
  ]);
}

/** What is to be said of a server of which nobody said whose it is, besides what is said of the cluster whose system it answers with. */
function judgeUnplacedServer(server: ServerFacts, systems: ReadonlyMap<string, ReadonlySet<string>>): Finding[] {
  if (server.kind === 'unreachable') return judgeUnreachable(server);
  if (server.kind === 'not-asked' || systems.size === 0) return [];
  if ([...systems.values()].some((own) => own.has(server.system))) return [];
  const sentence = `The server (system ${server.system}) is none of the clusters that are kept.`;
  const advice = 'Check the connection, or run holdfast backup with a cluster name of its own.';
  return [{ severity: 'problem', code: 'other-system', sentence, advice }];
}

function intervalOf(snapshots: readonly SnapshotRecord[]): number | null {
  const [before, last] = snapshots.slice(-2).map(({ completedAt }) => Date.parse(completedAt));
  return before === undefined || last === undefined ? null : last - before;
}

/** Rule B4: what is newest is what a thief would hide. */
function hidden(snapshot: string, at: string): Finding {
  const sentence = `The ledger says that backup ${snapshot.slice(0, 12)} was done at ${at}, and its snapshot is not there: somebody hides it or took it away.`;
  const advice = 'Look at copies of the repository, and at who may delete in it; run holdfast verify --all.';
  return { severity: 'problem', code: 'snapshot-hidden', sentence, advice };
}

function damage(code: string, sentence: string): Finding {
  const advice = 'Run holdfast verify to see whom it harms, and holdfast backup to store again what is still there.';
  return { severity: 'problem', code, sentence, advice };
}

async function readSnapshotFacts(
  repository: Repository,
  inventory: WalInventory,
  record: SnapshotRecord,
  storedAt: ReadonlyMap<string, number>,
): Promise<SnapshotFacts> {
  const [harmed, doubts] = [await findHarmedSnapshots(repository), await readDoubts(repository)];
  const known = { harmed, doubts, storedAt };
  const { level, isDamaged, isDoubtful, onlyIn, locks, reach } = await describeSnapshot(
    repository,
    inventory,
    record,
    known,
  );
  const walStart = parseLsn(record.wal.start);
  return {
    id: record.id,
    completedAt: Date.parse(record.completedAt),
    checksumFailures: checksumFailuresOf(record),
    level,
    ...{ isDamaged, isDoubtful, onlyIn },
    locks,
    lineage: record.wal.lineage,
    timeline: record.wal.timeline,
    walStart,
    walEnd: parseLsn(record.wal.end),
    restorableTo: reach?.to ?? walStart,
  };
}

/** What the WAL of a cluster is told by. */
interface WalSources {
  readonly repository: Repository;
  readonly inventory: WalInventory;
  readonly receivers: readonly StoredReceiverStatus[];
  readonly pushes: readonly StoredPushStatus[];
  readonly snapshots: readonly SnapshotRecord[];
  readonly now: number;
}

/**
 * The lineage that a running receiver stores in, else the one to go on with; the system is the server's if it was asked, else that of the newest
 * snapshot or lineage.
 */
async function describeWal(
  sources: WalSources,
  cluster: string,
  newest: SnapshotRecord | undefined,
  server: ServerFacts,
): Promise<WalFacts | null> {
  const { repository, inventory, receivers, pushes, snapshots, now } = sources;
  const own = inventory.lineages.filter(({ header }) => header.cluster === cluster);
  const youngest = own.toSorted((a, b) => b.storedAt - a.storedAt)[0];
  const candidates = [server.kind === 'answered' ? server.system : undefined, newest?.wal.system, youngest?.system];
  const system = candidates.find((candidate) => own.some((lineage) => lineage.system === candidate));
  if (system === undefined) return null;
  const active = receivers.find((each) => each.cluster === cluster && each.system === system && isRunning(each));
  const lineage = own.find((each) => each.lineage === active?.lineage) ?? currentLineage(inventory, system, cluster);
  if (lineage === null) return null;
  const { timeline, runs, gaps } = describeContinuity(lineage);
  const last = runs.at(-1);
  if (last === undefined) return null;
  const costs = await Promise.all(gaps.map((gap) => costOfGap(repository, inventory, lineage, gap, snapshots)));
  const pushed = pushes.find((each) => each.lineage === lineage.lineage);
  return {
    system: lineage.system,
    lineage: lineage.lineage,
    timeline,
    durableLsn: contiguousEndIn(lineage, timeline, last.start),
    segmentBytes: lineage.header.segmentBytes,
    gaps: costs.map((cost) => ({ ...cost.gap, cost: describeGapCost(cost, now) })),
    receiver: describeReceiver(receivers, cluster, lineage.system),
    streamedAt: lastStreamed(receivers, cluster, lineage.system),
    push: pushed === undefined ? null : { saidAt: pushed.writtenAt, file: pushed.file, endLsn: pushed.endLsn },
  };
}

function isRunning({ running, ageMs }: StoredReceiverStatus): boolean {
  return running && ageMs < STATUS_FRESH_MS;
}

function lastStreamed(receivers: readonly StoredReceiverStatus[], cluster: string, system: string): number | null {
  const isIt = (each: StoredReceiverStatus) =>
    each.cluster === cluster && each.system === system && each.temporary !== true;
  return receivers.find(isIt)?.writtenAt ?? null;
}

function describeReceiver(
  receivers: readonly StoredReceiverStatus[],
  cluster: string,
  system: string,
): ReceiverFacts | null {
  // Newest first. A backup that brought its own WAL may have said something since, too.
  const own = receivers.filter((receiver) => receiver.cluster === cluster && receiver.system === system);
  const said = own.find(isRunning) ?? own[0];
  if (said === undefined) return null;
  return {
    running: isRunning(said),
    saidAt: said.writtenAt,
    knownUntil: said.known === null ? null : timestampToMilliseconds(said.known.until),
    synchronous: said.synchronous,
    space: said.space ?? null,
  };
}
