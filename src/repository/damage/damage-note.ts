import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { mapAhead } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { facts, isUnreadableRecord, type JsonObject, moment, readRecord, type SealedObjects } from '../sealed/index.ts';
import { damageRecordName } from './damage-record.ts';

const damageNote = z.object({
  version: z.literal(1),
  object: z.string().min(1),
  at: moment,
  /** `harmful`: something that was stored cannot be had. `harmless`: nothing that is needed is lost by it. `healed`: all that was lost is back. */
  state: z.enum(['harmful', 'harmless', 'healed']),
  /** One line for people. */
  sentence: z.string(),
  facts,
});

/** What is known of a damaged object since it was found. */
export type DamageNote = z.infer<typeof damageNote>;
export type DamageState = DamageNote['state'];

const NOTE_NAME = /^((?:object\.)?[0-9a-f]{64})\.([0-9]{8})$/;

/** What is known of one damaged object. */
export interface KnownDamage {
  /** Of the record, under `damage/`. */
  readonly recordName: string;
  /** The last that can be read; `null` before the first. */
  readonly note: DamageNote | null;
}

/**
 * Adds a note, unless the last one says the same. The record has to be there already.
 *
 * Safe to repeat: two writers that add at once get numbers one after the other. Errors: those of the store.
 */
export async function noteDamage(
  objects: SealedObjects,
  statement: { object: string; state: DamageState; sentence: string; facts: JsonObject },
): Promise<void> {
  const record = damageRecordName(statement.object);
  let last = 0;
  let lastName: string | null = null;
  for await (const { name } of objects.store.list(`${record}.`)) {
    last = Math.max(last, Number(NOTE_NAME.exec(name.slice(kindPrefix('damage').length))?.[2] ?? 0));
    lastName = name;
  }
  if (lastName !== null) {
    const said = await readNote(objects, lastName);
    const before =
      said === null ? null : { object: said.object, state: said.state, sentence: said.sentence, facts: said.facts };
    if (isDeepStrictEqual(before, JSON.parse(JSON.stringify(statement)))) return;
  }
  const note = damageNote.parse({ version: 1, at: new Date(objects.clock.now()).toISOString(), ...statement });
  for (let seq = last + 1; ; seq++) {
    if ((await objects.putJson('damage', `${record}.${String(seq).padStart(8, '0')}`, note)) === 'created') return;
  }
}

/** Notes that are asked for at once. */
const NOTES_READ_MAX = 16;

/** Every object that is recorded as damaged, with the last that is known of it. Errors: those of the store. */
export async function listKnownDamage(objects: SealedObjects): Promise<KnownDamage[]> {
  const lastNotes = new Map<string, string>();
  for await (const { name } of objects.store.list(kindPrefix('damage'))) {
    const key = name.slice(kindPrefix('damage').length);
    const note = NOTE_NAME.exec(key);
    // A listing is in the order of names: the record, then its notes by their number.
    if (note === null) lastNotes.set(key, '');
    else lastNotes.set(note[1]!, name);
  }
  const read = async ([key, noteName]: [string, string]): Promise<KnownDamage> => {
    const note = noteName === '' ? null : await readNote(objects, noteName);
    return { recordName: kindPrefix('damage') + key, note };
  };
  const known: KnownDamage[] = [];
  for await (const one of mapAhead(lastNotes, { atOnceMax: NOTES_READ_MAX }, read)) known.push(one);
  return known;
}

/** `null` for a note that is damaged itself: then the record alone stands, which is the worse of the two. */
async function readNote(objects: SealedObjects, name: string): Promise<DamageNote | null> {
  try {
    return readRecord(damageNote, name, await objects.getJson('damage', name));
  } catch (error) {
    if (isAbsent(error) || isUnreadableRecord(error)) return null;
    throw error;
  }
}
