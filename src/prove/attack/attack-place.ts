import { HoldfastError } from '../../lib/index.ts';
import {
  type Attempt,
  type AttemptAnswer,
  type AttemptId,
  type Intruder,
  isAbsent,
  type ObjectStore,
} from '../../repository/index.ts';
import { knownAttacks } from './known-attacks.ts';

/**
 * What became of an attack. `denied`: the place refused it. `withstood`: the place took it, and whoever reads the repository sees what was there before. `succeeded`: it did
 * what it was meant to. `inapplicable`: the place has nothing of the kind. `not-known`: neither a refusal nor a success came back.
 */
export type AttackOutcome = 'denied' | 'withstood' | 'succeeded' | 'inapplicable' | 'not-known';

export interface AttackResult {
  readonly id: AttemptId;
  readonly outcome: AttackOutcome;
  /** Why it is not known, one sentence; `null` otherwise. */
  readonly sentence: string | null;
}

/** A place under attack. */
export interface AttackedPlace {
  readonly name: string;
  readonly intruder: Intruder;
  /** The place as somebody sees it who has just come: nothing is remembered of what it was. */
  open(): Promise<ObjectStore>;
}

/** An object that is made to be attacked. */
export interface Bait {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Attacks that are on what an object holds, and those that are on its lock; what the others do shows in being let. */
const ON_CONTENT: ReadonlySet<AttemptId> = new Set([
  ...(['overwrite', 'overwrite-by-copy', 'overwrite-in-parts', 'delete', 'delete-many', 'delete-versions'] as const),
]);
const ON_LOCK: ReadonlySet<AttemptId> = new Set(['shorten-lock', 'weaken-lock'] as const);

/**
 * Tries every attack on one place, each on a bait of its own that `makeBait` has stored there, and looks afterwards what a reader finds.
 *
 * Errors: those of storing baits; what goes wrong with an attack is its outcome.
 */
export async function attackPlace(
  place: AttackedPlace,
  makeBait: (id: AttemptId) => Promise<Bait>,
): Promise<AttackResult[]> {
  const results = new Map<AttemptId, AttackResult>();
  for (const attempt of place.intruder.attempts) {
    const bait = await makeBait(attempt.id);
    results.set(attempt.id, await tryOne(place, attempt, bait));
    await putBack(place, bait);
  }
  return [...results.values()].map((result) => inItsLight(result, results));
}

async function tryOne(place: AttackedPlace, attempt: Attempt, bait: Bait): Promise<AttackResult> {
  const { id } = attempt;
  try {
    const before = await lockOf(place, bait);
    const answer = await attempt.run(bait.name);
    return { id, outcome: await judge(place, id, answer, bait, before), sentence: null };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { id, outcome: 'not-known', sentence: `${error.message}.` };
  }
}

async function judge(
  place: AttackedPlace,
  id: AttemptId,
  answer: AttemptAnswer,
  bait: Bait,
  before: number | null,
): Promise<AttackOutcome> {
  // Whatever a place says: what counts is what is left.
  if (ON_CONTENT.has(id)) {
    if (!(await isWhole(place, bait))) return 'succeeded';
    return answer === 'accepted' ? 'withstood' : answer;
  }
  if (answer !== 'accepted') return answer;
  if (ON_LOCK.has(id)) return ((await lockOf(place, bait)) ?? 0) < (before ?? 1) ? 'succeeded' : 'withstood';
  const isSafeInItself = id === 'delete-place' || (id === 'suspend-versions' && (await keepsLocks(place)));
  return isSafeInItself ? 'withstood' : 'succeeded';
}

/** A marker is all that a deletion leaves, and it was seen on a bait what comes of one. */
function inItsLight(result: AttackResult, results: ReadonlyMap<AttemptId, AttackResult>): AttackResult {
  const isHarmless = result.id === 'delete-elsewhere' && results.get('delete')?.outcome === 'withstood';
  return isHarmless && result.outcome === 'succeeded' ? { ...result, outcome: 'withstood' } : result;
}

async function isWhole(place: AttackedPlace, bait: Bait): Promise<boolean> {
  try {
    return bait.bytes.equals(await (await place.open()).get(bait.name));
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

async function lockOf(place: AttackedPlace, bait: Bait): Promise<number | null> {
  return (await (await place.open()).lock?.until(bait.name)) ?? null;
}

async function keepsLocks(place: AttackedPlace): Promise<boolean> {
  return (await (await place.open()).protection?.())?.lock === 'on';
}

/** Leaves each bait as it was made, a record that somebody tried: without it, places would differ and records be damaged. */
async function putBack(place: AttackedPlace, bait: Bait): Promise<void> {
  try {
    await place.intruder.tidy(bait.name);
    if (await isWhole(place, bait)) return;
    const store = await place.open();
    await store.delete(bait.name);
    await store.putIfAbsent(bait.name, bait.bytes);
  } catch (error) {
    // What cannot be tidied up for want of rights hides nothing: readers take the bait.
    if (!(error instanceof HoldfastError)) throw error;
  }
}

/** Whether somebody who did this could take a backup away. */
export function isDangerous({ id, outcome }: AttackResult): boolean {
  return outcome === 'succeeded' && knownAttacks[id].isDangerous;
}

/** Whether somebody might take a backup away by this, as far as could be found out: neither a refusal nor a success came back. */
export function isInDoubt({ id, outcome }: AttackResult): boolean {
  return outcome === 'not-known' && knownAttacks[id].isDangerous;
}
