import { open, rm } from 'node:fs/promises';
import type { HoldfastError } from '../../lib/index.ts';
import { noteDamage, recordDamage, recordObjectDamage } from '../damage/index.ts';
import {
  isAbsent,
  isDamageOfOnePlace,
  newSpoolPath,
  type ObjectStore,
  objectAbsent,
  readProved,
  type StorePlace,
  storeErrorOf,
} from '../object-store/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import { isPlaceTrouble } from './place-watch.ts';
import { type Provers, proveObject } from './prove-object.ts';
import { transferObject } from './transfer.ts';
import { isOfOnePlace } from './write-order.ts';

const PART_BYTES = 4 << 20;
const PACK_NAME = /^packs\/([0-9a-f]{64})$/;

/** How an object lies in one place. */
export type ObjectCondition = 'sound' | 'damaged' | 'absent' | 'away';

/**
 * What became of an object in one place.
 *
 * `put`: it was missing and is there. `replaced`: it was damaged and is whole. `kept`: it is damaged, and the place does not let it be replaced, so
 * that readers go on using another place.
 */
export interface HealedPlace {
  readonly place: string;
  readonly was: Exclude<ObjectCondition, 'sound' | 'away'>;
  readonly outcome: 'put' | 'replaced' | 'kept';
}

/** An object in all places. `from`: where it was proved whole; `null` when no place has it so, and then nothing was done. */
export interface HealedObject {
  readonly name: string;
  readonly from: string | null;
  readonly healed: readonly HealedPlace[];
  /** Places that did not answer. */
  readonly away: readonly string[];
}

/**
 * Proves an object in each place of a store, and takes it from one where it is whole to those where it is damaged or missing.
 *
 * The damage of the primary is recorded before anything is done about it (rule A1), as writers count on the primary; a note says that it is healed.
 * Errors: those of the store for the records; those of `proveObject` when what was put into a place is not whole there; a place that does not answer
 * is named in the result.
 */
export async function healObject(objects: SealedObjects & Provers, name: string): Promise<HealedObject> {
  // What is about one place is said there alone: another place's word, or the lack of it, says nothing of it.
  const places = isOfOnePlace(name) ? [] : (objects.store.places ?? []);
  const found = await Promise.all(places.map(async (place) => ({ place, ...(await examine(objects, place, name)) })));
  const away = found.filter(({ condition }) => condition === 'away').map(({ place }) => place.name);
  const whole = found.find(({ condition }) => condition === 'sound');
  if (whole === undefined) return { name, from: null, healed: [], away };
  const source = { ...whole.place, store: whole.store };
  const healed: HealedPlace[] = [];
  for (const { place, condition, error } of found) {
    if (condition === 'sound' || condition === 'away') continue;
    const isPrimary = place === places[0];
    if (isPrimary) await record(objects, name, condition, error);
    const outcome = condition === 'absent' ? await put(name, source, place) : await replace(name, source, place);
    // Healed is what was proved where it lies now.
    if (outcome !== 'kept') await proveObject(objects, place.store, name);
    healed.push({ place: place.name, was: condition, outcome });
    if (isPrimary && outcome !== 'kept') await noteHealed(objects, name, source);
  }
  return { name, from: source.name, healed, away };
}

async function examine(
  provers: Provers,
  { store }: StorePlace,
  name: string,
): Promise<{ condition: ObjectCondition; error: HoldfastError | null; store: ObjectStore }> {
  try {
    // Of a place that keeps versions, one of them may be whole: that is the one to take.
    const sound = await readProved(store, name, async (from) => {
      await proveObject(provers, from, name);
      return from;
    });
    return { condition: 'sound', error: null, store: sound };
  } catch (error) {
    if (isAbsent(error)) return { condition: 'absent', error, store };
    if (isDamageOfOnePlace(error)) return { condition: 'damaged', error, store };
    if (isPlaceTrouble(error)) return { condition: 'away', error, store };
    throw error;
  }
}

async function record(
  objects: SealedObjects,
  name: string,
  condition: 'damaged' | 'absent',
  error: HoldfastError | null,
): Promise<void> {
  const facts = { found: condition, detail: error?.detail ?? '', healing: 'from another place' };
  const pack = PACK_NAME.exec(name)?.[1];
  if (pack === undefined) await recordObjectDamage(objects, name, facts);
  else await recordDamage(objects, Buffer.from(pack, 'hex'), facts);
}

function noteHealed(objects: SealedObjects, name: string, source: StorePlace): Promise<void> {
  const sentence = `It was taken from the copy "${source.name}", where it is whole.`;
  return noteDamage(objects, { object: name, state: 'healed', sentence, facts: { from: source.name } });
}

async function put(name: string, source: StorePlace, place: StorePlace): Promise<HealedPlace['outcome']> {
  const { outcome } = await transferObject({ name, from: source.store, to: place.store });
  return outcome === 'copied' || outcome === 'there' ? 'put' : 'kept';
}

/** Only what has just failed its proof is replaced, and in one step: nobody ever sees neither. */
async function replace(name: string, source: StorePlace, place: StorePlace): Promise<HealedPlace['outcome']> {
  if (place.store.replaceDamaged === undefined) return 'kept';
  const path = newSpoolPath(await place.store.spoolDirectory());
  try {
    await download(source.store, name, path);
  } catch (error) {
    await rm(path, { force: true });
    throw storeErrorOf(error, `copy object "${name}"`);
  }
  await place.store.replaceDamaged(name, path);
  return 'replaced';
}

async function download(from: ObjectStore, name: string, path: string): Promise<void> {
  const stat = await from.stat(name);
  // It was there a moment ago. An empty file in its place would be worse than what is damaged.
  if (stat === null) throw objectAbsent(name, from.description);
  const { size } = stat;
  await using file = await open(path, 'wx');
  for (let at = 0; at < size; at += PART_BYTES)
    await file.writeFile(await from.getRange(name, at, Math.min(PART_BYTES, size - at)));
}
