import { HoldfastError, mapAhead } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { HOLDS_FEATURE, setFeature } from '../format/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { encodeJson, isUnreadableRecord, readRecord, type SealedObjects } from '../sealed/index.ts';
import { type Hold, type HoldRecord, holdRecord } from './hold-record.ts';

/** Records that are asked for at once. */
const READS_MAX = 16;

/** A record among the holds that cannot be read: nothing may be forgotten while nobody knows what it keeps. */
export interface UnreadableHold {
  readonly name: string;
  readonly error: HoldfastError;
}

/** All that is said of holds. */
export interface HoldList {
  /** Every hold that was ever placed, those that are over among them; oldest first. */
  readonly holds: readonly Hold[];
  /** Ids of holds that somebody ended and that are not there. */
  readonly endedUnseen: readonly string[];
  readonly unreadable: readonly UnreadableHold[];
}

/** What whoever places a hold says. */
export type NewHold = Pick<Hold, 'who' | 'why' | 'until' | 'purpose' | 'scope'>;

/**
 * Places a hold and gives its id. Durable when it returns; whether it came in time is for `findHeldTooLate` to say, afterwards.
 *
 * Errors: those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function placeHold(objects: SealedObjects, hold: NewHold): Promise<string> {
  const at = await storeTime(objects);
  const until = hold.until === null ? null : new Date(hold.until).toISOString();
  return writeRecord(objects, { version: 1, record: 'hold', at, ...hold, until });
}

/** Says that a hold is over. Durable when it returns; safe to repeat, and the first one counts. Errors: as `placeHold`. */
export async function endHold(objects: SealedObjects, hold: string, by: { who: string; why: string }): Promise<void> {
  await writeRecord(objects, { version: 1, record: 'end', hold, at: await storeTime(objects), ...by });
}

/** Every hold, with how it ended. Errors: those of the store. */
export async function listHolds(objects: SealedObjects): Promise<HoldList> {
  const placed: Hold[] = [];
  const ends = new Map<string, NonNullable<Hold['ended']>>();
  const unreadable: UnreadableHold[] = [];
  const listed = objects.store.list(kindPrefix('hold'));
  for await (const { name, result } of mapAhead(listed, { atOnceMax: READS_MAX }, ({ name }) => read(objects, name))) {
    if (result instanceof HoldfastError) unreadable.push({ name, error: result });
    else if (result.record === 'hold') placed.push(holdOf(idOf(name), result));
    else {
      const known = ends.get(result.hold);
      const end = { at: Date.parse(result.at), who: result.who, why: result.why };
      if (known === undefined || end.at < known.at) ends.set(result.hold, end);
    }
  }
  const holds = placed.map((hold) => ({ ...hold, ended: ends.get(hold.id) ?? null }));
  holds.sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  const ids = new Set(holds.map(({ id }) => id));
  return { holds, endedUnseen: [...ends.keys()].filter((id) => !ids.has(id)).sort(), unreadable };
}

/** A name and what lies there, or why that cannot be read. */
async function read(
  objects: SealedObjects,
  name: string,
): Promise<{ name: string; result: HoldRecord | HoldfastError }> {
  try {
    return { name, result: readRecord(holdRecord, name, await objects.getJson('hold', name)) };
  } catch (error) {
    // What was listed and is gone is one of them, too: no hold is ever deleted.
    if (!isUnreadableRecord(error) && !isAbsent(error)) throw error;
    return { name, result: error };
  }
}

async function writeRecord(objects: SealedObjects, record: HoldRecord): Promise<string> {
  objects.assertWritable();
  // A version that does not know holds must not prune any more, from before the first one on.
  await setFeature(objects.store, HOLDS_FEATURE);
  return idOf(await objects.putDrawn('hold', kindPrefix('hold'), encodeJson(holdRecord.parse(record))));
}

function holdOf(id: string, record: Extract<HoldRecord, { record: 'hold' }>): Hold {
  const { at, who, why, until, purpose, scope } = record;
  const untilMs = until === null ? null : Date.parse(until);
  return { id, at: Date.parse(at), who, why, until: untilMs, purpose, scope, ended: null };
}

async function storeTime({ store }: SealedObjects): Promise<string> {
  return new Date(await store.now()).toISOString();
}

function idOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
