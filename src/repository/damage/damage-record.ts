import { createHash } from 'node:crypto';
import { z } from 'zod';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent, type ObjectStore, type PutOutcome } from '../object-store/index.ts';
import { packName } from '../pack/index.ts';
import {
  facts,
  hexId,
  isUnreadableRecord,
  type JsonObject,
  moment,
  readRecord,
  type SealedObjects,
} from '../sealed/index.ts';

const damageRecord = z.object({
  version: z.literal(1),
  /** The object id, for a pack. */
  pack: hexId.optional(),
  /** The name, for any other object. */
  object: z.string().optional(),
  foundAt: moment,
  facts,
});

/** What was found about one object. */
export type DamageRecord = z.infer<typeof damageRecord>;

const PACK_RECORD = /^[0-9a-f]{64}$/;
const OBJECT_RECORD = /^object\.[0-9a-f]{64}$/;

/** Says, once and for good, that a pack is damaged. A second finding about it returns `exists` and changes nothing. */
export function recordDamage(objects: SealedObjects, packId: Uint8Array, found: JsonObject): Promise<PutOutcome> {
  const pack = Buffer.from(packId).toString('hex');
  const foundAt = new Date(objects.clock.now()).toISOString();
  return objects.putJson('damage', kindPrefix('damage') + pack, { version: 1, pack, foundAt, facts: found });
}

/** The same for an object that is no pack. */
export function recordObjectDamage(objects: SealedObjects, object: string, found: JsonObject): Promise<PutOutcome> {
  const foundAt = new Date(objects.clock.now()).toISOString();
  return objects.putJson('damage', damageRecordName(object), { version: 1, object, foundAt, facts: found });
}

/** The record about an object: packs are found by their id, so that writers learn of them from a listing alone; all others by a hash. */
export function damageRecordName(object: string): string {
  const packId = object.startsWith(kindPrefix('data-pack')) ? object.slice(kindPrefix('data-pack').length) : '';
  if (PACK_RECORD.test(packId)) return kindPrefix('damage') + packId;
  return `${kindPrefix('damage')}object.${createHash('sha256').update(object, 'utf8').digest('hex')}`;
}

/** The damaged packs as 64 hexadecimal digits each. The name of a record is enough: one that is itself damaged counts as well. */
export async function listDamagedPacks(store: ObjectStore): Promise<Set<string>> {
  const packs = new Set<string>();
  for await (const { name } of store.list(kindPrefix('damage'))) {
    const key = name.slice(kindPrefix('damage').length);
    if (PACK_RECORD.test(key)) packs.add(key);
  }
  return packs;
}

/** The names of all records, of packs and of other objects. */
export async function listDamageRecordNames(store: ObjectStore): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { name } of store.list(kindPrefix('damage'))) {
    const key = name.slice(kindPrefix('damage').length);
    if (PACK_RECORD.test(key) || OBJECT_RECORD.test(key)) names.add(name);
  }
  return names;
}

/** Every record. Errors: `OBJECT_DAMAGED` and the like for a record that cannot be read. */
export async function listDamage(objects: SealedObjects): Promise<DamageRecord[]> {
  const records: DamageRecord[] = [];
  for (const name of await listDamageRecordNames(objects.store)) {
    records.push(readRecord(damageRecord, name, await objects.getJson('damage', name)));
  }
  return records;
}

/** The name of the object that a record is about; `null` for a record that is damaged itself, or gone. Errors: those of the store. */
export async function readDamagedObject(objects: SealedObjects, recordName: string): Promise<string | null> {
  const key = recordName.slice(kindPrefix('damage').length);
  if (PACK_RECORD.test(key)) return packName(Buffer.from(key, 'hex'));
  try {
    const { object } = readRecord(damageRecord, recordName, await objects.getJson('damage', recordName));
    return object ?? null;
  } catch (error) {
    if (isAbsent(error) || isUnreadableRecord(error)) return null;
    throw error;
  }
}
