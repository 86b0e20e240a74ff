import { openLedger } from '../../ledger/index.ts';
import { assert, type Clock, type Progress } from '../../lib/index.ts';
import { readWalInventory, type WalInventory } from '../../protect/wal/index.ts';
import {
  attest,
  type ChunkIndex,
  decodeIndex,
  type IndexedPack,
  kindPrefix,
  packName,
  type Repository,
  recordDamage,
  type SnapshotRecord,
} from '../../repository/index.ts';
import { checkPack, isUsable, type PackFinding } from './pack-check.ts';
import { checkRecords } from './record-check.ts';
import type { SnapshotProblem, SnapshotVerdict, UnreadableObject, VerificationResult } from './verdict.ts';
import { checkAllWal, checkSnapshotWal, type ReadCount, type WalFinding } from './wal-check.ts';
import { walkSnapshot } from './walk-snapshot.ts';

export interface VerifyOptions {
  readonly repository: Repository;
  /** Those to verify; when left out, every committed snapshot and everything else that is stored. */
  readonly snapshots?: readonly SnapshotRecord[];
  /** Whether damage is recorded, sound snapshots are attested and the ledger is told; needs a repository opened for writing. */
  readonly record: boolean;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/** Packs under work at once: enough that a store's delay does not count, while one thread does the computing anyway. */
const laneCount = 4;

/** So many files of a damaged snapshot are named; the others are only counted. */
const fileNamesMax = 20;

/**
 * Reads again every byte that snapshots need (tree, contents, WAL), proves it, and says what is damaged and whom it harms.
 *
 * Damage of a pack is recorded as soon as it is found (rule A1), so that no later backup counts on it. Memory: the index, and a few runs of
 * chunks for each lane.
 * Errors: those of the store when it cannot answer, which says nothing about what it holds; the signal's reason.
 */
export async function verifySnapshots(options: VerifyOptions): Promise<VerificationResult> {
  const { repository, clock, progress, signal } = options;
  assert(!options.record || repository.access !== 'read', 'findings are recorded in a repository opened for writing');
  signal?.throwIfAborted();
  const begun = clock.monotonic();
  let bytesRead = 0;
  const onBytes = (bytes: number) => {
    bytesRead += bytes;
    progress.advance(bytes);
  };
  const count: ReadCount = { onBytes, signal };

  progress.begin('reading the index', { unit: 'chunks' });
  const { snapshots, unreadable } = await chooseSnapshots(options);
  using cleanup = new DisposableStack();
  const index = await repository.loadIndex();
  cleanup.defer(() => index.close());
  progress.advance(index.count);
  for (const { name, reason } of index.unreadable) unreadable.push({ object: name, sentence: reason });

  const needed = await findNeededPacks(options, index);
  const packs = await checkPacks(options, index, needed, count);
  progress.begin('reading WAL');
  const inventory = await readWalInventory(repository);
  const walOfSnapshots = new Map<string, string[]>();
  for (const { id, wal } of snapshots) {
    walOfSnapshots.set(id, await checkSnapshotWal(repository, inventory, wal, count));
  }
  const otherWal = await checkOtherWal(options, inventory, count);

  progress.begin('judging snapshots', { unit: 'files' });
  const verdicts: SnapshotVerdict[] = [];
  for (const snapshot of snapshots) {
    const problems = await findProblems(options, index, snapshot, packs);
    for (const sentence of walOfSnapshots.get(snapshot.id) ?? []) problems.push({ kind: 'wal', sentence });
    verdicts.push({ snapshot, problems });
  }
  const result = {
    snapshots: verdicts,
    packsChecked: packs.checked,
    chunksChecked: packs.chunks,
    walObjectsChecked: otherWal.objects,
    bytesRead,
    seconds: (clock.monotonic() - begun) / 1000,
    damagedPacks: [...packs.findings.values()],
    damagedWal: otherWal.findings,
    unreadable,
    isSound:
      unreadable.length + packs.findings.size + otherWal.findings.length === 0 &&
      verdicts.every(({ problems }) => problems.length === 0),
  };
  if (options.record) await recordVerdicts(options, result);
  return result;
}

async function chooseSnapshots({
  repository,
  snapshots,
  record,
  stateDirectory,
}: VerifyOptions): Promise<{ snapshots: readonly SnapshotRecord[]; unreadable: UnreadableObject[] }> {
  if (snapshots !== undefined) return { snapshots, unreadable: [] };
  const list = await repository.listSnapshots();
  const records = list.damaged.map(({ name, error }) => ({ object: name, sentence: error.detail ?? error.message }));
  return {
    snapshots: list.snapshots,
    unreadable: [...records, ...(await checkRecords(repository, record ? stateDirectory : null))],
  };
}

/**
 * The names of all packs in which a snapshot has a chunk, other copies of it included. Without chosen snapshots it is every pack that the
 * index names: writers count on those that no snapshot needs yet.
 */
async function findNeededPacks(
  { repository, snapshots, progress, signal }: VerifyOptions,
  index: ChunkIndex,
): Promise<Set<string>> {
  if (snapshots === undefined) return new Set([...index.listPacks()].map(({ packId }) => packName(packId)));
  const numbers = new Set<number>();
  progress.begin('reading lists of files', { unit: 'chunks' });
  for (const snapshot of snapshots) {
    const visit = ({ locations }: { locations: readonly { packNumber: number }[] }) => {
      for (const { packNumber } of locations) numbers.add(packNumber);
      progress.advance(1);
    };
    // What ends the walk early is told when the packs are checked and the snapshot is walked once more.
    await walkSnapshot(repository, index, snapshot, visit, signal);
  }
  return new Set([...numbers].map((number) => packName(index.packOf(number).packId)));
}

interface CheckedPacks {
  checked: number;
  chunks: number;
  /** By the object's name. */
  findings: Map<string, PackFinding>;
}

async function checkPacks(
  options: VerifyOptions,
  index: ChunkIndex,
  needed: ReadonlySet<string>,
  count: ReadCount,
): Promise<CheckedPacks> {
  const { repository, progress } = options;
  progress.begin('reading packs', { total: await sumSizes(repository, needed) });
  const result: CheckedPacks = { checked: 0, chunks: 0, findings: new Map() };
  const packs = listNeededPacks(repository, index, needed);
  let failed = false;
  const checkNext = async (): Promise<boolean> => {
    // Lanes share one iterator, so each pack is taken once; a generator answers simultaneous calls in turn.
    const next = await packs.next();
    if (next.done === true) return false;
    const { chunks, finding } = await checkPack(repository, next.value, count);
    result.checked += 1;
    result.chunks += chunks;
    if (finding === null) return true;
    result.findings.set(finding.pack, finding);
    const facts = { foundBy: 'verify', sentences: finding.sentences };
    if (options.record) await recordDamage(repository, finding.packId, facts);
    return true;
  };
  const runLane = async () => {
    try {
      while (!failed && (await checkNext()));
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: laneCount }, runLane));
  return result;
}

/** For the progress alone: an absent pack adds nothing. */
async function sumSizes(repository: Repository, needed: ReadonlySet<string>): Promise<number> {
  let bytes = 0;
  for await (const { name, size } of repository.store.list(kindPrefix('data-pack'))) {
    if (needed.has(name)) bytes += size;
  }
  return bytes;
}

/** The needed packs as the index describes them, one index object in memory at a time. */
async function* listNeededPacks(
  repository: Repository,
  index: ChunkIndex,
  needed: ReadonlySet<string>,
): AsyncGenerator<IndexedPack, void> {
  const unreadable = new Set(index.unreadable.map(({ name }) => name));
  const seen = new Set<string>();
  for await (const { name } of repository.store.list(kindPrefix('index'))) {
    if (unreadable.has(name)) continue;
    for (const pack of decodeIndex(await repository.getBody('index', name), name)) {
      const object = packName(pack.packId);
      if (!needed.has(object) || seen.has(object)) continue;
      seen.add(object);
      yield pack;
    }
  }
}

/** What is lost of a snapshot. */
async function findProblems(
  { repository, progress, signal }: VerifyOptions,
  index: ChunkIndex,
  snapshot: SnapshotRecord,
  packs: CheckedPacks,
): Promise<SnapshotProblem[]> {
  const names = new Set<string>();
  let count = 0;
  let last: string | null = null;
  const error = await walkSnapshot(
    repository,
    index,
    snapshot,
    ({ path, locations }) => {
      if (path === null || path === last || locations.some((location) => isUsable(location, packs.findings))) return;
      last = path;
      count += 1;
      progress.advance(1);
      if (names.size < fileNamesMax) names.add(path);
    },
    signal,
  );
  return [
    ...(error === null ? [] : [{ kind: 'tree' as const, sentence: error.detail ?? error.message }]),
    ...(count === 0 ? [] : [{ kind: 'files' as const, count, names: [...names] }]),
  ];
}

async function checkOtherWal(
  { repository, snapshots }: VerifyOptions,
  inventory: WalInventory,
  count: ReadCount,
): Promise<{ objects: number; findings: WalFinding[] }> {
  if (snapshots !== undefined) return { objects: 0, findings: [] };
  const { objects, findings } = await checkAllWal(repository, inventory, count);
  const listed = inventory.damaged.map(({ objectName, error }) => ({
    object: objectName,
    sentence: error.detail ?? error.message,
  }));
  return { objects, findings: [...listed, ...findings] };
}

async function recordVerdicts(
  { repository, stateDirectory }: VerifyOptions,
  result: VerificationResult,
): Promise<void> {
  const ledger = await openLedger(repository, stateDirectory);
  for (const { snapshot, problems } of result.snapshots) {
    const facts = { packs: result.packsChecked, bytes: result.bytesRead, problems: problems.length };
    if (problems.length === 0) await attest(repository, { snapshot: snapshot.id, level: 'verified', facts });
    const outcome = problems.length === 0 ? 'done' : 'failed';
    await ledger.append({ action: 'verify', outcome, subject: snapshot.id, facts });
  }
}
