import { type Clock, HoldfastError, inLanes } from '../../lib/index.ts';
import { type ObjectStore, RateLimit, type StorePlace } from '../object-store/index.ts';
import { readFormatBytes } from './identity.ts';
import { comparePlaces } from './merge-listings.ts';
import { admitPlace } from './tell-apart.ts';
import { transferObject } from './transfer.ts';
import { knownPrefixes, prefixesOf, WRITE_STEPS, type WriteStep, writeStepOf } from './write-order.ts';

/** Names that are kept at once, about 100 bytes each: what is more waits for another pass. */
const NAMES_MAX = 200_000;
/** Objects under way at once: enough to hide the latency of a far place, few enough for memory (4 MiB each). */
const LANES = 8;
/** Behind every name with the prefix: no name has this character. */
const BEYOND = '~';

/** An object that a copy lacks. */
export interface MissingObject {
  readonly name: string;
  readonly size: number;
  /** By the time of the place that has it. */
  readonly modifiedAt: number;
}

/** What one pass is to bring, by step. A proposal can be shown; it is made from two listings and does nothing by itself. */
export interface SyncProposal {
  readonly missing: ReadonlyMap<WriteStep, readonly MissingObject[]>;
  /** Names that both have, with other sizes. */
  readonly differing: readonly string[];
  /** Steps behind this one wait for another pass, as there are more names than are kept at once; `null` when it is the whole difference. */
  readonly cutAt: WriteStep | null;
}

/** What a catch-up did. */
export interface SyncResult {
  readonly objects: number;
  readonly bytes: number;
  /** Objects of the copy with other bytes than the primary's. They were left alone. */
  readonly differing: readonly string[];
}

export interface SyncOptions {
  /** Where objects are taken from: the primary, or whichever place has what the other lacks. */
  readonly from: ObjectStore;
  readonly to: StorePlace;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly bytesPerSecond?: number;
  readonly lanes?: number;
  /** Names of missing objects that are kept at once. */
  readonly namesMax?: number;
  readonly onObject?: (object: { name: string; bytes: number }) => void;
  /** What the next pass is to bring. */
  readonly onProposal?: (proposal: SyncProposal) => void;
}

/**
 * Brings everything that a copy lacks, in the order in which it is a consistent repository at every moment.
 *
 * Nothing is overwritten or deleted; memory is bounded. It may be stopped and begun again at any time: what is there is not sent twice.
 * Errors: `REPOSITORY_COPY_FOREIGN` and `REPOSITORY_COPY_SAME` before anything is copied; `REPOSITORY_ABSENT` when there is nothing to be copied; those of both stores.
 */
export async function syncCopy(options: SyncOptions): Promise<SyncResult> {
  await admitCopy(options.from, options.to);
  return bringLacking(options);
}

/** `syncCopy` for a place that was admitted already. */
export async function bringLacking(options: SyncOptions): Promise<SyncResult> {
  let result: SyncResult = { objects: 0, bytes: 0, differing: [] };
  for (;;) {
    const proposal = await proposeSync(options);
    options.onProposal?.(proposal);
    const done = await executeSync(proposal, options);
    result = {
      objects: result.objects + done.objects,
      bytes: result.bytes + done.bytes,
      differing: [...new Set([...result.differing, ...done.differing])],
    };
    if (proposal.cutAt === null) return result;
  }
}

/** Whether the place may be a copy, found out before anything is written. Errors: as `syncCopy`. */
export async function admitCopy(from: ObjectStore, to: StorePlace): Promise<void> {
  const format = await readFormatBytes(from);
  if (format === null) {
    throw new HoldfastError('REPOSITORY_ABSENT', `cannot find a repository in ${from.description}`, {
      detail: 'Expected the object "format", found none: there is nothing to copy.',
      hints: ['Run `holdfast repository init` to create a repository there.'],
    });
  }
  await admitPlace(from, to, format);
}

/**
 * Lists what a place lacks. What needs others is listed before what it needs: so whatever the later steps name was there already when the
 * earlier steps were listed, also while others write.
 */
export async function proposeSync(
  options: Pick<SyncOptions, 'from' | 'to' | 'signal' | 'namesMax'>,
): Promise<SyncProposal> {
  const { from, to, signal } = options;
  const names = new NamesByStep(options.namesMax ?? NAMES_MAX);
  const differing: string[] = [];
  for await (const { name, entries } of listBackwards(from, to.store)) {
    signal?.throwIfAborted();
    const [source, held] = entries;
    const step = writeStepOf(name);
    if (step === null || source === null || source === undefined) continue;
    if (held === null || held === undefined) names.add(step, source);
    else if (held.size !== source.size) differing.push(name);
  }
  return { missing: names.missing, differing, cutAt: names.cutAt };
}

/** Missing names, so many at most: when there are more, those of the last step are let go, and are found again by another pass. */
class NamesByStep {
  readonly missing = new Map<WriteStep, MissingObject[]>();
  cutAt: WriteStep | null = null;
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(step: WriteStep, { name, size, modifiedAt }: MissingObject): void {
    if (this.cutAt !== null && isBehind(step, this.cutAt)) return;
    if (this.#count >= this.#max && !this.#makeRoom(step)) return;
    const list = this.missing.get(step) ?? [];
    this.missing.set(step, list);
    list.push({ name, size, modifiedAt });
    this.#count += 1;
  }

  /** Gives up what comes behind the step. When there is nothing, the step itself is cut short. */
  #makeRoom(step: WriteStep): boolean {
    this.cutAt = step;
    for (const [other, list] of this.missing) {
      if (!isBehind(other, step)) continue;
      this.#count -= list.length;
      this.missing.delete(other);
    }
    return this.#count < this.#max;
  }
}

function isBehind(step: WriteStep, other: WriteStep): boolean {
  return WRITE_STEPS.indexOf(step) > WRITE_STEPS.indexOf(other);
}

/** Brings what was proposed, step by step. Errors: those of both stores; then what came before the failure is there. */
export async function executeSync(proposal: SyncProposal, options: SyncOptions): Promise<SyncResult> {
  const { from, to, clock, signal, lanes = LANES, onObject } = options;
  const differing = [...proposal.differing];
  const limit = options.bytesPerSecond === undefined ? null : new RateLimit(options.bytesPerSecond, clock);
  const paced = limit === null ? {} : { pace: (length: number) => limit.take(length, signal) };
  let objects = 0;
  let bytes = 0;
  for (const step of WRITE_STEPS) {
    // The ledger is a chain: an entry without the one before it would look like a hidden one.
    await inLanes(step === 'ledger' ? 1 : lanes, proposal.missing.get(step) ?? [], async ({ name }) => {
      signal?.throwIfAborted();
      const sent = await transferObject({ name, from, to: to.store, ...paced });
      if (sent.outcome === 'differs') differing.push(name);
      if (sent.outcome !== 'copied') return;
      objects += 1;
      bytes += sent.bytes;
      onObject?.({ name, bytes: sent.bytes });
    });
    // What comes behind may need names of this step that were not kept.
    if (step === proposal.cutAt) break;
  }
  return { objects, bytes, differing };
}

/** Every name of both, from the last step to the first. */
async function* listBackwards(from: ObjectStore, to: ObjectStore) {
  yield* listOthers(from, to);
  for (const step of [...WRITE_STEPS].reverse()) {
    if (step === 'others') continue;
    if (step === 'histories') {
      // Lineages and histories come before the WAL that needs them, but are sorted among it: they are listed again, alone.
      yield* listRoots(from, to);
      continue;
    }
    // One listing has all steps of the WAL, landmarks before segments, as names are sorted.
    if (step === 'lineages' || step === 'landmarks' || step === 'landmark-summaries') continue;
    for (const prefix of prefixesOf(step)) {
      for await (const entry of comparePlaces(from, to, prefix)) {
        if (step === 'wal' && isRoot(entry.name)) continue;
        if (step === 'format' && entry.name !== 'format') continue;
        yield entry;
      }
    }
  }
}

function isRoot(name: string): boolean {
  const step = writeStepOf(name);
  return step === 'lineages' || step === 'histories';
}

/** Goes over the WAL itself, of which there is much. */
async function* listRoots(from: ObjectStore, to: ObjectStore) {
  yield* listJumping(from, to, 'wal/', (name) => {
    const bulk = /^wal\/[^/]+\/[^/]+\/(?:fragments|landmarks|segments)\//.exec(name);
    return bulk === null ? null : bulk[0];
  });
}

/** Names of kinds that this version does not know. */
async function* listOthers(from: ObjectStore, to: ObjectStore) {
  const known = knownPrefixes();
  yield* listJumping(from, to, '', (name) => known.find((prefix) => name.startsWith(prefix)) ?? null);
}

/** Lists, and goes on behind a prefix that `skip` gives for a name. */
async function* listJumping(from: ObjectStore, to: ObjectStore, prefix: string, skip: (name: string) => string | null) {
  for (let startAfter: string | null = ''; startAfter !== null; ) {
    const position: { startAfter?: string } = startAfter === '' ? {} : { startAfter };
    startAfter = null;
    for await (const entry of comparePlaces(from, to, prefix, position)) {
      const skipped = skip(entry.name);
      if (skipped !== null) {
        startAfter = skipped + BEYOND;
        break;
      }
      yield entry;
    }
  }
}
