import { dirname, join } from 'node:path';
import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import { FORMAT_NAME, type ObjectStore, type Repository, readFormatHead } from '../../../repository/index.ts';
import type { ToldAlarm } from '../events.ts';
import type { KeptFile, WalIngest } from '../files/index.ts';
import { FollowedLineage } from '../followed-lineage.ts';
import type { LineagePlace } from '../object-names.ts';
import type { ReceiverOutage } from '../receiver/index.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { openArchivedFile } from './archived-file.ts';
import { handOver } from './hand-over.ts';
import { alarmOfParts } from './handover-messages.ts';
import { keepFile, type StorableFile, tellPushed } from './keep-file.ts';
import { awaitSafety, requireFollowed, viewForPush } from './push-outage.ts';
import { findOwner, findPreviousBeside, listWaiting, readHistoryBeside, type WalOwner } from './wal-directory.ts';

/** While the repository is open, at most so many further files are kept, and none is begun after so long: the archiver waits meanwhile. */
const AHEAD_FILES_MAX = 64;
const AHEAD_MS_MAX = 10_000;

export interface WalPushOptions {
  /** The file, as PostgreSQL's `%p` names it. */
  readonly path: string;
  /** Needs no key. */
  readonly store: ObjectStore;
  /** Other places of the same repository, to know it by while that one is away. */
  readonly copies?: readonly ObjectStore[];
  /** Opened only when it has to be; closed by the caller. */
  openRepository(): Promise<Repository>;
  /** How to go on while the primary is away, once the repository is open; without it the file stays with the server then. */
  readonly outage?: () => ReceiverOutage | null;
  readonly stateDirectory: string;
  /** The cluster that was named; `null` for the only one of the file's system, or else `clusterDefault`. */
  readonly cluster: string | null;
  readonly clusterDefault: string;
  readonly clock: Clock;
  /** No further file is begun once it is given. */
  readonly signal: AbortSignal;
  readonly onAlarm: (alarm: ToldAlarm) => void;
}

/** How a file came to be kept. */
export interface WalPushResult {
  readonly file: string;
  /** `acknowledged`: an earlier call had kept it. `receiver`: handed over. `repository`: stored by this call. `not-needed`: nobody ever will. */
  readonly road: 'acknowledged' | 'receiver' | 'repository' | 'not-needed';
  /** Where it lies; `null` where that was not asked. */
  readonly place: LineagePlace | null;
  readonly isNew: boolean;
  /** Files that were kept ahead. */
  readonly ahead: readonly string[];
}

/**
 * Keeps one file that PostgreSQL wants archived. When it returns, the file is durable in the repository (or needs not be, see the page).
 *
 * Errors: WAL_FILE_UNREADABLE, WAL_FILE_FOREIGN, WAL_FILE_UNSOUND, PG_WAL_NAME_INVALID, CLUSTER_AMBIGUOUS; those of `WalIngest`, of opening the
 * repository and of the store. The page is `docs/wal-push.md`.
 */
export async function pushWalFile(options: WalPushOptions): Promise<WalPushResult> {
  const { path, store, stateDirectory, cluster, clock } = options;
  const file = await openArchivedFile(path);
  if (file.kind === 'backup-history') {
    return { file: file.name, road: 'not-needed', place: null, isNew: false, ahead: [] };
  }
  const { name, size } = file;
  const sha256 = await file.sha256();
  const inPrimary = await readRepositoryId(store);
  const facts = { name, size, sha256, cluster };
  // Only the primary says what was acknowledged.
  const acknowledgements = inPrimary === null ? null : new Acknowledgements(stateDirectory, inPrimary);
  if (acknowledgements !== null && (await acknowledgements.holds(store, facts))) {
    await acknowledgements.remove(name);
    return { file: name, road: 'acknowledged', place: null, isNew: false, ahead: [] };
  }
  const owner = await findOwnerOf(file, dirname(path));
  const repository = inPrimary ?? (await readIdOfCopies(options.copies ?? []));
  if (repository !== null) {
    const offer = { holdfast: 'wal-push', version: 1, repository, cluster, system: owner.system } as const;
    const kept = await handOver(
      stateDirectory,
      { ...offer, file: name, size, sha256 },
      { read: () => readFileOf(file) },
      clock,
    );
    if (kept !== null) {
      for (const parts of kept.alarms) options.onAlarm(alarmOfParts(parts));
      const place = { system: kept.system, lineage: kept.lineage };
      return { file: name, road: 'receiver', place, isNew: kept.isNew, ahead: [] };
    }
  }
  return pushDirectly(options, file, owner);
}

/** The repository is open: the file, and what waits behind it. */
async function pushDirectly(options: WalPushOptions, file: StorableFile, owner: WalOwner): Promise<WalPushResult> {
  const { path, stateDirectory, clock, onAlarm } = options;
  // What an acknowledged file does not need is not loaded for it.
  const { WalIngest } = await import('../files/index.ts');
  const opened = await options.openRepository();
  const outage = options.outage?.() ?? null;
  const { system, segmentBytes } = owner;
  const { repository, isStandIn, returns } = await viewForPush(opened, outage);
  const cluster = options.cluster ?? (await findCluster(repository, system, options.clusterDefault));
  const followed = new FollowedLineage(stateDirectory, repository.id, { system, cluster });
  const preferred = await followed.read();
  const directory = dirname(path);
  const ingest = new WalIngest({
    ...{ repository, cluster, system, clock, stateDirectory, onAlarm, preferred },
    only: isStandIn ? requireFollowed(preferred) : null,
    findHistory: (timeline) => readHistoryBeside(directory, timeline),
    findPrevious: (segment) => findPreviousBeside(directory, segment),
  });
  const kept = await keepFile(ingest, file, segmentBytes);
  if (outage !== null) await awaitSafety(outage, { objects: kept.objects, returns }, clock);
  await followed.write(kept.place.lineage);
  const ahead = await keepAhead(options, { ingest, repository, cluster, owner, name: file.name });
  await tellPushed(repository, cluster, ahead.at(-1)?.file ?? file, ahead.at(-1)?.kept ?? kept);
  const names = ahead.map((each) => each.file.name);
  return { file: file.name, road: 'repository', place: kept.place, isNew: kept.isNew, ahead: names };
}

interface AheadWork {
  readonly ingest: WalIngest;
  readonly repository: Repository;
  readonly cluster: string;
  readonly owner: WalOwner;
  readonly name: string;
}

/** Keeps files that wait behind the one that was asked for. Whatever hinders one is told when it is asked for itself. */
async function keepAhead(
  { path, stateDirectory, clock, signal }: WalPushOptions,
  { ingest, repository, cluster, owner, name }: AheadWork,
): Promise<{ file: StorableFile; kept: KeptFile }[]> {
  const until = clock.monotonic() + AHEAD_MS_MAX;
  const acknowledgements = new Acknowledgements(stateDirectory, repository.id);
  const done: { file: StorableFile; kept: KeptFile }[] = [];
  try {
    const waiting: string[] = [];
    for (const next of (await listWaiting(dirname(path), name)).slice(0, AHEAD_FILES_MAX)) {
      if (!(await acknowledgements.mentions(next))) waiting.push(next);
    }
    // The next file is read while one is stored.
    let opening = openAhead(dirname(path), waiting[0], owner);
    for (let next = 1; clock.monotonic() < until && !signal.aborted; next++) {
      const file = await opening;
      if (file === null) break;
      opening = openAhead(dirname(path), waiting[next], owner);
      opening.catch(() => {}); // Awaited in the next turn, if there is one.
      const kept = await keepFile(ingest, file, owner.segmentBytes);
      await acknowledge(acknowledgements, repository.store, cluster, file, kept);
      done.push({ file, kept });
    }
    await acknowledgements.trim();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
  }
  return done;
}

async function openAhead(directory: string, name: string | undefined, owner: WalOwner): Promise<StorableFile | null> {
  if (name === undefined) return null;
  const file = await openArchivedFile(join(directory, name));
  if (file.kind !== 'segment' || file.segment.system !== owner.system) return null;
  await file.sha256();
  return file;
}

/** What is said to be durable was read back by the ingest; the store tells how large it is. */
async function acknowledge(
  acknowledgements: Acknowledgements,
  store: ObjectStore,
  cluster: string,
  file: StorableFile,
  kept: KeptFile,
): Promise<void> {
  const objects: { name: string; size: number }[] = [];
  for (const name of kept.objects) {
    const stat = await store.stat(name);
    if (stat === null) return;
    objects.push({ name, size: stat.size });
  }
  const { name, size } = file;
  if (objects.length > 0) await acknowledgements.add({ cluster, name, size, sha256: await file.sha256(), objects });
}

async function readIdOfCopies(copies: readonly ObjectStore[]): Promise<string | null> {
  for (const copy of copies) {
    const id = await readRepositoryId(copy);
    if (id !== null) return id;
  }
  return null;
}

/** `null` when it cannot be told: then opening the repository says why. */
async function readRepositoryId(store: ObjectStore): Promise<string | null> {
  try {
    const head = readFormatHead(await store.get(FORMAT_NAME));
    return head.state === 'ours' ? head.id : null;
  } catch (error) {
    if (codeOf(error)?.startsWith('OBJECT_') || codeOf(error)?.startsWith('STORE_')) return null;
    throw error;
  }
}

async function findOwnerOf(file: StorableFile, directory: string): Promise<WalOwner> {
  if (file.kind === 'history') return findOwner(directory);
  return { system: file.segment.system, segmentBytes: file.segment.segmentBytes };
}

function readFileOf(file: StorableFile): AsyncIterable<Buffer> {
  if (file.kind !== 'history') return file.segment.read();
  return (async function* () {
    yield Buffer.from(file.history.content, 'utf8');
  })();
}

/** The cluster under whose name the WAL of a system is kept; the default for a system of which nothing is kept. Errors: CLUSTER_AMBIGUOUS. */
export async function findCluster(repository: Repository, system: string, byDefault: string): Promise<string> {
  const { readWalInventory } = await import('../inventory.ts');
  const { lineages } = await readWalInventory(repository, system);
  const [name = byDefault, ...others] = new Set(lineages.map(({ header }) => header.cluster));
  if (others.length === 0) return name;
  throw new HoldfastError('CLUSTER_AMBIGUOUS', 'cannot tell to which cluster the WAL belongs', {
    detail: `Expected the name of one, as the repository keeps WAL of system ${system} as ${[name, ...others].map((each) => `"${each}"`).join(', ')}.`,
    hints: ['Name one with --cluster, HOLDFAST_CLUSTER or as the only one of clusters in a plan.'],
  });
}
