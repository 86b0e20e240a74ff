import { randomBytes } from 'node:crypto';
import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import { formatHistoryName, parseTimelineHistory } from '../../../postgres/index.ts';
import { decodeJson, encodeJson, type PutOutcome, type Repository } from '../../../repository/index.ts';
import { currentLineage } from '../continuity.ts';
import { type LineageInventory, readWalInventory, type WalInventory } from '../inventory.ts';
import { decodeLineageHeader, encodeLineageHeader, type LineageHeader, type LineageParent } from '../lineage.ts';
import { historyObjectName, type LineagePlace, lineageObjectName } from '../object-names.ts';
import { scanRecords } from '../scan.ts';
import { getEither, putTwice, readHistoryFile } from '../second-copy.ts';
import { isWalDamage } from '../stored-wal.ts';
import { otherSystem } from './alarms.ts';
import { type Link, readHistory, SQL_STATE, sqlStateOf, type TimelineHistory } from './link.ts';

/** The lineage that a receiver goes on with. */
export interface OpenedLineage {
  readonly lineage: LineageInventory;
  readonly inventory: WalInventory;
  readonly created: boolean;
}

/** What a lineage is made from. */
export interface LineageBeginning {
  readonly system: string;
  readonly cluster: string;
  readonly segmentBytes: number;
  readonly startTimeline: number;
  readonly startLsn: bigint;
}

/**
 * The current lineage of the cluster, or a first one.
 *
 * Two may both find none, such as a receiver and the backup that begins beside it. The id of a first lineage follows from what it is of, so that
 * both write under one name, of which the store keeps what came first: no clock decides, as the times of a store do not say who was seen first.
 * Errors: WAL_SEGMENT_SIZE_CHANGED; WAL_LINEAGE_ABSENT (retryable) where the store does not list what it has; those of the store.
 */
export async function openLineage(
  repository: Repository,
  beginning: LineageBeginning,
  clock: Clock,
): Promise<OpenedLineage> {
  const inventory = await readWalInventory(repository, beginning.system);
  const found = currentLineage(inventory, beginning.system, beginning.cluster);
  if (found !== null) return { lineage: checkSize(found, beginning), inventory, created: false };
  const header = makeHeader(beginning, firstLineageId(repository, beginning), null, clock);
  const first = await putHeader(repository, header);
  const begun = await readCurrent(repository, beginning);
  if (begun !== null) return { ...begun, created: first === 'created' };
  // An old listing, which the next one mends: with another lineage the WAL of one server would lie in two.
  if (await canBeRead(repository, header)) throw vanished(beginning);
  // What is stored under that name cannot be read. New WAL has to go somewhere all the same.
  await createLineage(repository, beginning, null, clock);
  const instead = await readCurrent(repository, beginning);
  if (instead === null) throw vanished(beginning);
  return { ...instead, created: true };
}

async function canBeRead(repository: Repository, place: LineagePlace): Promise<boolean> {
  const name = lineageObjectName(place);
  try {
    await getEither(repository, 'wal-lineage', name, (body) => decodeLineageHeader(decodeJson(name, body), name));
    return true;
  } catch (error) {
    if (isWalDamage(error) || codeOf(error)?.startsWith('WAL_LINEAGE_') === true) return false;
    throw error;
  }
}

async function readCurrent(
  repository: Repository,
  beginning: LineageBeginning,
): Promise<{ lineage: LineageInventory; inventory: WalInventory } | null> {
  const inventory = await readWalInventory(repository, beginning.system);
  const current = currentLineage(inventory, beginning.system, beginning.cluster);
  return current === null ? null : { lineage: checkSize(current, beginning), inventory };
}

/** Keyed, as names in a store must not tell what clusters are called. */
function firstLineageId(repository: Repository, { system, cluster }: LineageBeginning): string {
  return repository.keys.identifyChunk(Buffer.from(`holdfast first lineage 1\n${system}\n${cluster}`)).toString('hex');
}

/** The error to tell when the cluster has WAL of another system, `null` when it has none: then a first lineage is no surprise. */
export async function findOtherSystem(
  repository: Repository,
  cluster: string,
  system: string,
): Promise<HoldfastError | null> {
  const { lineages } = await readWalInventory(repository);
  const other = lineages.find((lineage) => lineage.header.cluster === cluster && lineage.system !== system);
  return other === undefined ? null : otherSystem(cluster, other.system, system);
}

/** Stores the first object of a lineage and gives its header. */
export async function createLineage(
  repository: Repository,
  beginning: LineageBeginning,
  parent: LineageParent | null,
  clock: Clock,
): Promise<LineageHeader> {
  const header = makeHeader(beginning, randomBytes(32).toString('hex'), parent, clock);
  await putHeader(repository, header);
  return header;
}

function makeHeader(
  beginning: LineageBeginning,
  lineage: string,
  parent: LineageParent | null,
  clock: Clock,
): LineageHeader {
  return { lineage, createdAt: new Date(clock.now()).toISOString(), ...beginning, parent };
}

function putHeader(repository: Repository, header: LineageHeader): Promise<PutOutcome> {
  return putTwice(repository, 'wal-lineage', lineageObjectName(header), encodeJson(encodeLineageHeader(header)));
}

/**
 * Stores the history files of the server's timeline and of those that led to it, as far as the server has them, before any WAL of theirs. Gives
 * the lineage with what it has now.
 *
 * Only the newest one is needed for a recovery, so an old one that the server has lost is no error.
 * Errors: WAL_HISTORY_DIFFERS; those of the server and of the store.
 */
export async function storeHistories(
  repository: Repository,
  lineage: LineageInventory,
  link: Link,
): Promise<LineageInventory> {
  if (link.history === null) return lineage;
  const histories = new Map(lineage.histories);
  const timelines = [...link.history.switches.map((entry) => entry.timeline), link.history.timeline];
  for (const timeline of timelines.filter((candidate) => candidate > 1 && !histories.has(candidate))) {
    const history = timeline === link.history.timeline ? link.history : await readHistoryIfKept(link, timeline);
    if (history === null) continue;
    await storeHistory(repository, lineage, history);
    histories.set(timeline, history.switches);
  }
  return { ...lineage, histories };
}

async function readHistoryIfKept(link: Link, timeline: number): Promise<TimelineHistory | null> {
  try {
    return await readHistory(link.connection, timeline);
  } catch (error) {
    if (sqlStateOf(error) === SQL_STATE.undefinedFile) return null;
    throw error;
  }
}

async function storeHistory(
  repository: Repository,
  lineage: LineageInventory,
  history: TimelineHistory,
): Promise<void> {
  const objectName = historyObjectName(lineage, history.timeline);
  const outcome = await putTwice(repository, 'timeline-history', objectName, Buffer.from(history.content, 'utf8'));
  if (outcome === 'created') return;
  const file = await readHistoryFile(repository, lineage, history.timeline);
  const stored = parseTimelineHistory(file.toString('utf8'));
  const text = (switches: TimelineHistory['switches']) =>
    switches.map(({ timeline, switchLsn }) => `${timeline} ${switchLsn}`).join();
  if (text(stored) === text(history.switches)) return;
  const name = formatHistoryName(history.timeline);
  throw new HoldfastError('WAL_HISTORY_DIFFERS', `cannot store "${name}": another history of this timeline is stored`, {
    detail: `Two servers have given the number ${history.timeline} to different timelines of system ${lineage.system}.`,
    hints: ['Check which server is the right one; give the other one a cluster name of its own.'],
  });
}

/**
 * Whether the stored WAL of a timeline has a whole record at or behind `lsn`. A server that is promoted discards a record that it had only in
 * part: then what we hold beyond the switch is a part of a record, and nothing is lost with it.
 */
export async function holdsRecordBehind(
  repository: Repository,
  inventory: WalInventory,
  place: { lineage: string; timeline: number; lsn: bigint; end: bigint },
): Promise<boolean> {
  let found = false;
  const range = { lineage: place.lineage, timeline: place.timeline, from: place.lsn, to: place.end };
  const scan = scanRecords(repository, inventory, range, () => {
    found = true;
  });
  while (!found && !(await scan.next()).done) {
    // One record is enough.
  }
  return found;
}

function checkSize(lineage: LineageInventory, { segmentBytes, cluster }: LineageBeginning): LineageInventory {
  if (lineage.header.segmentBytes === segmentBytes) return lineage;
  throw new HoldfastError('WAL_SEGMENT_SIZE_CHANGED', `cannot go on with the WAL of cluster "${cluster}"`, {
    detail: `Expected segments of ${lineage.header.segmentBytes} bytes, found ${segmentBytes}: the server's were changed by pg_resetwal.`,
    hints: ['Protect the server under another cluster name, and take a base backup there.'],
  });
}

function vanished({ cluster }: LineageBeginning): HoldfastError {
  return new HoldfastError('WAL_LINEAGE_ABSENT', `could not begin the WAL of cluster "${cluster}"`, {
    detail: 'The first object of its lineage was stored, and the store does not list it.',
    hints: ['Check that the store lists what was written before.'],
    retryable: true,
  });
}
