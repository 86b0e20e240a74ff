import { openLedger } from '../../ledger/index.ts';
import { assert, type Clock, type HoldfastError, type Progress } from '../../lib/index.ts';
import { readWalInventory, type WalInventory } from '../../protect/wal/index.ts';
import {
  attest,
  type ChunkIndex,
  damageRecordName,
  decodeIndex,
  listDamageRecordNames,
  listPendingIds,
  type Repository,
  type SnapshotRecord,
  whyAway,
} from '../../repository/index.ts';
import type { Bits } from './bits.ts';
import { checkPacks, noteCostlyGone } from './check-packs.ts';
import { findNeeds } from './find-needs.ts';
import { judgeDamage } from './judge-damage.ts';
import { listForeignNames, listPackObjects, type PackListing } from './list-objects.ts';
import { readCarefully, sentenceOf } from './read-carefully.ts';
import { checkRecords, type RecordCheck } from './record-check.ts';
import { recordFindings } from './record-findings.ts';
import { mapDamage, type ReverseMap } from './reverse-map.ts';
import { isInWalScope, isSampled, type Sample, type WalScope } from './scope.ts';
import type {
  SnapshotProblem,
  SnapshotVerdict,
  UnreadableObject,
  Unreferenced,
  VerificationResult,
} from './verdict.ts';
import {
  checkWal,
  findGoneSegments,
  isNeededBy,
  listWalObjects,
  type PlacedWal,
  type ReadCount,
  type WalCheck,
  whyWalIncomplete,
} from './wal-check.ts';

export interface VerifyOptions {
  readonly repository: Repository;
  /** Those to verify; when left out together with `wal`, every committed snapshot and everything else that is stored. */
  readonly snapshots?: readonly SnapshotRecord[];
  /** WAL to read besides that of the snapshots. */
  readonly wal?: WalScope;
  /** Reads only a part of what is in scope; then nothing is attested. */
  readonly sample?: Sample;
  /** Whether damage is recorded, sound snapshots are attested and the ledger is told; needs a repository opened for writing. */
  readonly record: boolean;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/** So many names that nobody knows are told. */
const foreignNamesMax = 20;

/**
 * Reads again every byte that snapshots need (tree, contents, WAL), proves it, and says what is damaged and what that costs.
 *
 * Damage is recorded as soon as it is found (rule A1), so that no later backup counts on it; a pack that is missing is found by a listing, before
 * anything is read. What a damaged object costs is judged against every snapshot, whatever was asked for. Memory: the index, a bit for
 * each chunk, and a few runs of chunks for each core.
 * Of several places the primary is read; only where nothing is recorded and it does not answer, what the copies have, and the result says so.
 * Errors: those of the store when it cannot answer, which says nothing about what it holds; the signal's reason.
 */
export async function verifySnapshots(options: VerifyOptions): Promise<VerificationResult> {
  const primary = options.repository.store.places?.at(0)?.store;
  if (primary === undefined) return verifyAll(options, null);
  const primaryAway = options.record ? null : await whyAway(primary);
  if (primaryAway !== null) return verifyAll(options, primaryAway);
  // Writers count on the primary: no copy may make up for it meanwhile, neither in what is recorded nor in what is only told.
  return verifyAll({ ...options, repository: options.repository.inPlace(primary) }, null);
}

async function verifyAll(options: VerifyOptions, primaryAway: HoldfastError | null): Promise<VerificationResult> {
  const { repository, clock, progress, signal, sample } = options;
  assert(!options.record || repository.access !== 'read', 'findings are recorded in a repository opened for writing');
  signal?.throwIfAborted();
  const begun = clock.monotonic();
  const count = countBytes(options);
  const isEverything = options.snapshots === undefined && options.wal === undefined;

  progress.begin('reading the index', { unit: 'chunks' });
  using cleanup = new DisposableStack();
  const index = await repository.loadIndex();
  cleanup.defer(() => index.close());
  progress.advance(index.count);
  const known = await listDamageRecordNames(repository.store);
  const unreadableIndex = await readIndexAgain(repository, index);
  const committed = await listCommitted(repository);
  const scoped = isEverything ? committed.snapshots : (options.snapshots ?? []);

  const needs = await findNeeds(options, index, scoped);
  const listing = await listPackObjects(repository, index);
  const packs = await checkPacks(options, { index, listing, needed: needs.packs, isEverything, count });
  progress.begin('reading WAL');
  const inventory = await readInventoryAgain(repository);
  const read = await checkWal(repository, inventory, await chooseWal(options, inventory, scoped), count);
  const wal = isEverything ? withGone(read, await findGoneSegments(repository, inventory)) : read;
  const records = isEverything
    ? await checkRecords(repository, options.record ? options.stateDirectory : null)
    : noRecords;
  if (isEverything) committed.records.push(...(await findVanished(repository, committed.snapshots, records)));

  const mustJudge =
    packs.findings.size + packs.gone.size + packs.denied.size + unreadableIndex.length + needs.suspects.size > 0;
  const knowledge = {
    findings: new Map([...packs.findings, ...packs.gone]),
    isProven: packs.isProven,
    denied: packs.denied,
  };
  const reverse = mustJudge ? await mapDamage(options, index, committed.snapshots, knowledge) : nothingLost;
  await noteCostlyGone(options, packs, reverse);
  const damage = await judgeDamage({
    surroundings: { repository, sound: wal.sound, snapshots: committed.snapshots },
    packs: [...packs.findings.values(), ...packs.unindexedFindings],
    wal: isEverything ? wal : { ...wal, sound: onlyRelevant(wal.sound, scoped) },
    index: unreadableIndex,
    unindexedPacks: listing.unindexed.length,
    // That a snapshot cannot be listed at all concerns whoever asks for any.
    snapshots: committed.records.filter(
      ({ id, isServed }) => isEverything || !isServed || scoped.some((each) => each.id === id),
    ),
    records: records.unreadable,
    attested: records.attested,
    reverse,
    known,
  });
  const snapshots = scoped.map((snapshot) => judgeSnapshot(snapshot, reverse, wal));
  // A sample may not hold the other copy by which a whole verification has called it healed.
  const isOldNews = (object: string) => sample !== undefined && known.has(damageRecordName(object));
  const denied = [...packs.deniedObjects, ...wal.denied, ...records.denied];
  const result: VerificationResult = {
    primaryAway,
    snapshots,
    packsChecked: packs.checked,
    chunksChecked: packs.chunks,
    walObjectsChecked: wal.objects,
    bytesRead: count.total(),
    seconds: (clock.monotonic() - begun) / 1000,
    percent: sample?.percent ?? 100,
    damagedPacks: [...packs.findings.values(), ...packs.unindexedFindings],
    damagedWal: [
      ...(isEverything ? wal.sound.damaged : []).map(({ objectName, error }) => ({
        object: objectName,
        sentence: sentenceOf(error),
      })),
      ...wal.findings,
    ],
    unreadable: [...committed.records, ...unreadableIndex, ...records.unreadable].map(({ object, sentence }) => ({
      object,
      sentence,
    })),
    damage,
    denied,
    flaky: [...packs.flaky, ...wal.flaky, ...records.flaky],
    unreferenced: isEverything
      ? await countUnreferenced(repository, committed.snapshots, listing, needs.packs, records)
      : null,
    isSound:
      damage.every(({ object, state }) => state === 'healed' || (state === 'harmless' && isOldNews(object))) &&
      denied.length === 0 &&
      snapshots.every(({ problems }) => problems.length === 0),
  };
  if (options.record) await recordFindings(repository, result, { isEverything });
  if (options.record) await recordVerdicts(options, result);
  return result;
}

const noRecords: RecordCheck = { unreadable: [], denied: [], flaky: [], attested: new Map() };
const nothingLost: ReverseMap = { problems: new Map(), costs: new Map(), unproven: new Set() };

function countBytes({ progress, signal }: VerifyOptions): ReadCount & { total(): number } {
  let total = 0;
  const onBytes = (bytes: number) => {
    total += bytes;
    progress.advance(bytes);
  };
  return { onBytes, signal, total: () => total };
}

/** What could not be read is read again before it is believed; an index object that comes the second time is added. */
async function readIndexAgain(repository: Repository, index: ChunkIndex): Promise<UnreadableObject[]> {
  const unreadable: UnreadableObject[] = [];
  for (const { name } of index.unreadable.splice(0)) {
    const reading = await readCarefully(repository, async () =>
      decodeIndex(await repository.getBody('index', name), name),
    );
    if (reading.kind === 'read') for (const pack of reading.value) index.addPack(pack);
    else {
      const sentence = sentenceOf(reading.error);
      unreadable.push({ object: name, sentence });
      index.unreadable.push({ name, reason: sentence });
    }
  }
  index.rest();
  return unreadable;
}

interface Committed {
  readonly snapshots: readonly SnapshotRecord[];
  readonly records: (UnreadableObject & { id: string; isServed: boolean })[];
}

async function listCommitted(repository: Repository): Promise<Committed> {
  let list = await repository.listSnapshots();
  if (list.damaged.length + list.replaced.length > 0) list = await repository.listSnapshots();
  const records = [
    ...list.damaged.map((each) => ({ ...each, isServed: false })),
    ...list.replaced.map((each) => ({ ...each, isServed: true })),
  ].map(({ id, name, error, isServed }) => ({ id, object: name, sentence: sentenceOf(error), isServed }));
  return { snapshots: list.snapshots, records };
}

/** Backups that were attested, as only committed ones are, and of which nothing but the pending record is left. */
async function findVanished(
  repository: Repository,
  snapshots: readonly SnapshotRecord[],
  { attested }: RecordCheck,
): Promise<Committed['records']> {
  const listed = new Set(snapshots.map(({ id }) => id));
  const vanished: Committed['records'] = [];
  for (const id of await listPendingIds(repository)) {
    if (listed.has(id) || (attested.get(id) ?? 0) === 0) continue;
    const sentence = 'It was committed, as statements about it say, and is not there; its pending record is.';
    vanished.push({ id, object: `snapshots/committed/${id}`, sentence, isServed: false });
  }
  return vanished;
}

async function readInventoryAgain(repository: Repository): Promise<WalInventory> {
  const inventory = await readWalInventory(repository);
  return inventory.damaged.length === 0 ? inventory : readWalInventory(repository);
}

/** The objects to read: those that snapshots need, those in the scope, or all. */
async function chooseWal(
  { repository, snapshots, wal: scope, sample }: VerifyOptions,
  inventory: WalInventory,
  scoped: readonly SnapshotRecord[],
): Promise<PlacedWal[]> {
  const isEverything = snapshots === undefined && scope === undefined;
  const storedAt = new Map<string, number>();
  if (scope?.kind === 'since') {
    for await (const { name, modifiedAt } of repository.store.list('wal/')) {
      if (modifiedAt >= scope.since) storedAt.set(name, modifiedAt);
    }
  }
  const chosen: PlacedWal[] = [];
  for (const object of listWalObjects(inventory)) {
    const isWanted =
      isEverything ||
      (scope !== undefined &&
        isInWalScope(scope, object, storedAt.get(object.objectName) ?? Number.NEGATIVE_INFINITY)) ||
      scoped.some((snapshot) => isNeededBy(snapshot, object));
    if (isWanted && isSampled(sample, object.objectName)) chosen.push(object);
  }
  return chosen;
}

/** What is gone is a loss as much as what is damaged. */
function withGone(wal: WalCheck, gone: readonly PlacedWal[]): WalCheck {
  const sentence = 'It was stored, as the commit index says, and is not there.';
  const findings = gone.map(({ objectName }) => ({ object: objectName, sentence }));
  return { ...wal, findings: [...wal.findings, ...findings], lost: [...wal.lost, ...gone] };
}

/** With no other damaged lineages and histories than those that one of these snapshots needs. */
function onlyRelevant(inventory: WalInventory, scoped: readonly SnapshotRecord[]): WalInventory {
  const isRelevant = ({ objectName }: { objectName: string }) =>
    scoped.some(({ wal }) => objectName.includes(wal.lineage));
  const { damaged, replaced = [] } = inventory;
  return { ...inventory, damaged: damaged.filter(isRelevant), replaced: replaced.filter(isRelevant) };
}

function judgeSnapshot(snapshot: SnapshotRecord, reverse: ReverseMap, wal: WalCheck): SnapshotVerdict {
  const problems: SnapshotProblem[] = [...(reverse.problems.get(snapshot.id) ?? [])];
  const sentence = whyWalIncomplete(wal.sound, snapshot);
  if (sentence !== null) problems.push({ kind: 'wal', sentence });
  if (wal.unread.some((object) => isNeededBy(snapshot, object))) {
    problems.push({ kind: 'unread', sentence: 'WAL that it needs lies in objects that we may not read.' });
  }
  return { snapshot, problems };
}

async function countUnreferenced(
  repository: Repository,
  snapshots: readonly SnapshotRecord[],
  listing: PackListing,
  needed: Bits,
  { attested }: RecordCheck,
): Promise<Unreferenced> {
  const ids = new Set(snapshots.map(({ id }) => id));
  let packs = listing.unindexed.length;
  let packBytes = listing.unindexed.reduce((sum, { size }) => sum + size, 0);
  for (const [number, size] of listing.sizes.entries()) {
    if (size < 0 || needed.has(number)) continue;
    packs += 1;
    packBytes += size;
  }
  const pending = await listPendingIds(repository);
  return {
    packs,
    packBytes,
    pendingSnapshots: pending.filter((id) => !ids.has(id)).length,
    attestations: [...attested.keys()].filter((id) => !ids.has(id)).length,
    foreign: await listForeignNames(repository, foreignNamesMax),
  };
}

async function recordVerdicts(
  { repository, stateDirectory, sample }: VerifyOptions,
  result: VerificationResult,
): Promise<void> {
  const ledger = await openLedger(repository, stateDirectory);
  const { packsChecked: packs, bytesRead: bytes, percent } = result;
  for (const { snapshot, problems } of result.snapshots) {
    const facts = { packs, bytes, problems: problems.length, ...(sample === undefined ? {} : { percent }) };
    if (problems.length === 0 && sample === undefined)
      await attest(repository, { snapshot: snapshot.id, level: 'verified', facts });
    const outcome = problems.length === 0 ? 'done' : 'failed';
    await ledger.append({ action: 'verify', outcome, subject: snapshot.id, facts });
  }
}
