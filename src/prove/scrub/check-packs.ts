import { GarbageGauge, type HoldfastError } from '../../lib/index.ts';
import {
  type ChunkIndex,
  decodeIndex,
  INDEX_GARBAGE,
  INDEX_GARBAGE_FACTOR,
  type IndexedPack,
  kindPrefix,
  listTombstonedPacks,
  packName,
  type Repository,
  readPackDirectory,
  recordDamage,
} from '../../repository/index.ts';
import { Bits } from './bits.ts';
import { FrameChecker } from './frame-checker.ts';
import { findMissingPacks, type PackListing } from './list-objects.ts';
import { absentPack, checkPack, type PackFinding } from './pack-check.ts';
import { readCarefully, sentenceOf } from './read-carefully.ts';
import type { ReverseMap } from './reverse-map.ts';
import { isSampled } from './scope.ts';
import type { UnreadableObject } from './verdict.ts';
import type { VerifyOptions } from './verify-snapshots.ts';
import type { ReadCount } from './wal-check.ts';

/** Packs under work at once: enough that a store's delay does not count and every core has something to do. */
const laneCount = 4;

/** What came of reading packs. */
export interface PacksCheck {
  checked: number;
  chunks: number;
  /** By the number of the pack in the index. */
  readonly findings: Map<number, PackFinding>;
  /** Packs that somebody announced and that are gone, although a snapshot has a chunk in them: no damage unless that chunk is nowhere else. By number. */
  readonly gone: Map<number, PackFinding>;
  /** Damage in packs that no index object names, so that nothing can need them. */
  readonly unindexedFindings: PackFinding[];
  readonly denied: Set<number>;
  readonly deniedObjects: UnreadableObject[];
  readonly flaky: string[];
  isProven(packNumber: number): boolean;
}

interface PacksScope {
  readonly index: ChunkIndex;
  readonly listing: PackListing;
  /** By number; all of them are read when everything is. */
  readonly needed: Bits;
  readonly isEverything: boolean;
  readonly count: ReadCount;
}

/** One pack to be read; `number` is null for one that no index object names. */
interface PackTask {
  readonly pack: IndexedPack;
  readonly number: number | null;
}

/** Tells of missing packs at once, then reads the others. Errors: those of the store; the signal's reason. */
export async function checkPacks(options: VerifyOptions, scope: PacksScope): Promise<PacksCheck> {
  const { repository, progress } = options;
  const { index, listing } = scope;
  const wanted = scope.isEverything ? allOf(index.packCount) : scope.needed;
  const proven = new Bits(index.packCount);
  const result: PacksCheck = {
    ...{ checked: 0, chunks: 0, findings: new Map(), gone: new Map(), unindexedFindings: [] },
    ...{ denied: new Set(), deniedObjects: [], flaky: [] },
    isProven: (number) => proven.has(number),
  };
  progress.begin('looking for missing packs');
  const missing = await findMissingPacks(repository, index, listing, wanted);
  // What was announced goes with intent, and an index that was read before may name it still.
  const announced = missing.length === 0 ? new Set<string>() : await listAnnounced(repository);
  for (const number of missing) {
    const { packId } = index.packOf(number);
    if (!announced.has(packId.toString('hex'))) await noteFinding(options, result, number, absentPack(packId));
    // Whether its chunks are elsewhere is found out by what it costs.
    else if (scope.needed.has(number)) result.gone.set(number, absentPack(packId));
  }
  const bytes = sumSizes(listing, wanted, scope.isEverything);
  progress.begin('reading packs', { total: bytes });
  using frames = new FrameChecker(repository, bytes);
  const tasks = listTasks(options, scope, wanted, result);
  let failed = false;
  const checkNext = async (): Promise<boolean> => {
    // Lanes share one iterator, so each pack is taken once; a generator answers simultaneous calls in turn.
    const next = await tasks.next();
    if (next.done === true) return false;
    const { pack, number } = next.value;
    const check = await checkPack(repository, pack, { ...scope.count, frames });
    result.checked += 1;
    result.chunks += check.chunks;
    if (check.isFlaky) result.flaky.push(packName(pack.packId));
    if (check.denied !== null) noteDenied(result, number, pack.packId, check.denied);
    else if (check.finding !== null) await noteFinding(options, result, number, check.finding);
    else if (number !== null) proven.add(number);
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

/**
 * What was announced and is gone is damage after all where it costs something: its chunks are nowhere else. It is recorded, and stands among the findings then.
 * Errors: those of the store.
 */
export async function noteCostlyGone(
  options: VerifyOptions,
  packs: PacksCheck,
  { costs }: Pick<ReverseMap, 'costs'>,
): Promise<void> {
  for (const [number, finding] of packs.gone)
    if (costs.has(finding.pack)) await noteFinding(options, packs, number, finding);
}

/** The packs that are announced. A tombstone that cannot be read is told among the records; what it was about is then missing as other packs are. */
async function listAnnounced(repository: Repository): Promise<ReadonlySet<string>> {
  const reading = await readCarefully(repository, () => listTombstonedPacks(repository));
  if (reading.kind === 'denied') throw reading.error;
  return reading.kind === 'read' ? reading.value : new Set();
}

/** Rule A1: the record is written before anything else is done about it. */
async function noteFinding(
  { repository, record, progress }: VerifyOptions,
  result: PacksCheck,
  number: number | null,
  finding: PackFinding,
): Promise<void> {
  if (number === null) result.unindexedFindings.push(finding);
  else result.findings.set(number, finding);
  progress.note(`${finding.pack} is damaged: ${finding.sentences[0]}`);
  if (record) await recordDamage(repository, finding.packId, { foundBy: 'verify', sentences: finding.sentences });
}

function noteDenied(result: PacksCheck, number: number | null, packId: Uint8Array, error: HoldfastError): void {
  if (number !== null) result.denied.add(number);
  result.deniedObjects.push({ object: packName(packId), sentence: sentenceOf(error) });
}

/** The packs as the index describes them, one index object in memory at a time; then those that only describe themselves. */
async function* listTasks(
  options: VerifyOptions,
  { index, listing, isEverything }: PacksScope,
  wanted: Bits,
  result: PacksCheck,
): AsyncGenerator<PackTask, void> {
  const { repository, sample } = options;
  const unreadable = new Set(index.unreadable.map(({ name }) => name));
  const taken = new Bits(index.packCount);
  const garbage = new GarbageGauge(INDEX_GARBAGE);
  for await (const { name, size } of repository.store.list(kindPrefix('index'))) {
    if (unreadable.has(name)) continue;
    garbage.add(INDEX_GARBAGE_FACTOR * size);
    for (const pack of decodeIndex(await repository.getBody('index', name), name)) {
      const number = index.packNumberOf(pack.packId);
      // An index object that came after the index was read is for the next verification.
      if (number === undefined || !wanted.has(number) || listing.sizes[number] === -1 || taken.add(number)) continue;
      if (isSampled(sample, packName(pack.packId))) yield { pack, number };
    }
  }
  if (!isEverything) return;
  for (const { name, packId } of listing.unindexed) {
    if (!isSampled(sample, name)) continue;
    const reading = await readCarefully(repository, () => readPackDirectory(repository.store, repository.keys, packId));
    if (reading.kind === 'read') yield { pack: reading.value, number: null };
    else if (reading.kind === 'denied') noteDenied(result, null, packId, reading.error);
    // Gone since the listing: a prune may be at work.
    else if (reading.error.code !== 'OBJECT_ABSENT') {
      const sentences = [sentenceOf(reading.error)];
      await noteFinding(options, result, null, { ...absentPack(packId), sentences });
    }
  }
}

function sumSizes({ sizes, unindexed }: PackListing, wanted: Bits, isEverything: boolean): number {
  let bytes = isEverything ? unindexed.reduce((sum, { size }) => sum + size, 0) : 0;
  for (const [number, size] of sizes.entries()) if (size > 0 && wanted.has(number)) bytes += size;
  return bytes;
}

function allOf(count: number): Bits {
  const bits = new Bits(count);
  for (let number = 0; number < count; number++) bits.add(number);
  return bits;
}
